import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../src/core/errors.ts';
import { type InvalidCall, invalidCalls } from './mcp-invalid-calls.ts';
import { type Answer, type McpSession, makeFolder, removeFolder, startSession } from './mcp-session.ts';
import { endWork } from './mcp-work.ts';
import { wholeProject } from './project-state.ts';

let session: McpSession;
let calls: InvalidCall[];

beforeAll(async () => {
  session = await startSession(await makeFolder());
  const reason = 'Prepare a project for the test';
  const setUp: [string, object][] = [
    ['initialize_project', { name: 'fuzzed' }],
    ['create_workspace', { name: 'baseline', goal: 'Be there', reason }],
    ['create_workspace', { name: 'spare', goal: 'Be there too', reason }],
    ['mount', { workspace: 'baseline', reason }],
    [
      'register_source',
      { name: 'numbers', uri: 'workspaces/w1/pipeline.yaml', description: 'Any file', reason },
    ],
    ['run', { workspace: 'baseline', reason, wait_seconds: 45 }],
  ];
  let last: Record<string, unknown> = {};
  for (const [name, args] of setUp) {
    const answer = await session.call(name, args);
    expect(answer.isError).toBe(false);
    last = answer.structured;
  }
  const [first] = last['runs'] as { run_id: string }[];
  calls = invalidCalls({ run: String(first?.run_id), pipelineRun: String(last['pipeline_run_id']) });
  await endWork(session);
});
afterAll(async () => {
  await session.close();
  await removeFolder(session.folder);
});

/** What an answer must never hold: a stack, an absolute path, words of what lies beneath. */
const FORBIDDEN = [
  /\bat [\w.<>]+ \(/,
  /node:internal|node_modules|\.ts:\d+/,
  /(?<![\w.])\/(?:etc|tmp|home|root|usr|var|opt|work|proc|dev)\b/,
  /\bgit\b|sqlite|SQLITE|fatal:|ENOENT|EACCES|ENAMETOOLONG|ZodError/,
];

function complaintsAbout(call: InvalidCall, answer: Answer): string[] {
  const complaints: string[] = [];
  const { error } = answer;
  if (!answer.isError) return ['it was accepted'];
  if (!Object.hasOwn(ERROR_CODES, error?.code) || error.code === 'INTERNAL')
    complaints.push(`code ${error?.code}`);
  if (!error?.message) complaints.push('no message');
  if (!error?.hint) complaints.push('no hint');
  const whole = JSON.stringify(answer);
  // What the caller wrote may come back in quotes; what it names is not ours.
  const ours = call.args === undefined ? whole : whole.replaceAll('.git', '');
  for (const pattern of FORBIDDEN) {
    const found = pattern.exec(ours);
    if (found)
      complaints.push(`it says ${found[0]}: ${ours.slice(Math.max(0, found.index - 60), found.index + 60)}`);
  }
  if (whole.includes(session.folder)) complaints.push('it shows where the project lies');
  if (whole.length > 16_000) complaints.push(`it is ${whole.length} characters long`);
  return complaints;
}

describe('calls that are wrong', () => {
  it('are at least a thousand here', () => {
    expect(calls.length).toBeGreaterThanOrEqual(1_000);
  });

  it('are each refused with a code and a hint, and change nothing', { timeout: 300_000 }, async () => {
    const before = await wholeProject(session.folder);
    const complaints: string[] = [];
    const codes = new Set<string>();
    for (const call of calls) {
      const answer = await session.call(call.tool, call.args);
      codes.add(answer.error?.code);
      const found = complaintsAbout(call, answer);
      const shown = JSON.stringify(call.args)?.slice(0, 120);
      if (found.length > 0) complaints.push(`${call.tool} ${call.what} ${shown}: ${found.join('; ')}`);
    }
    expect(complaints).toEqual([]);
    // Not all of them fail at the door: services refuse too.
    expect([...codes].sort()).toMatchInlineSnapshot(`
      [
        "BACKEND_UNAVAILABLE",
        "CONFLICT",
        "INVALID_ARGUMENT",
        "NOT_SUPPORTED",
        "PATH_OUTSIDE_ROOT",
        "REASON_TOO_SHORT",
        "RECORD_NOT_FOUND",
        "RUN_NOT_FOUND",
        "SOURCE_NOT_FOUND",
        "VERSION_NOT_FOUND",
        "WORKSPACE_NOT_FOUND",
      ]
    `);
    expect(await wholeProject(session.folder)).toEqual(before);
  });

  it('leave the server able to answer right ones', async () => {
    expect((await session.call('status')).isError).toBe(false);
  });
});
