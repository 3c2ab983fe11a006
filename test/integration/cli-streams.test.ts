import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assetPath } from '../../src/core/assets.ts';
import { createTestProject, type TestProject, writeStages } from '../support/project.ts';
import { endPrograms, goldfish, goldfishOnTerminal, shell, start } from './cli-program.ts';

const REASON = ['--reason', 'a test of the command line'];
const ESC = '\u001b';

let project: TestProject;
let id: string;
let runId: string;
const at = () => ({ cwd: project.root });

const NOISY = `import sys, goldfish
print("\\x1b]0;owned\\x07title \\x1b[31mred\\x1b[2J")
print("10 %\\r100 %")
print("naïve 数据")
for i in range(30000):
    print("line", i)
goldfish.save_output("done", {})
`;

beforeAll(async () => {
  project = createTestProject();
  await goldfish(['workspace', 'create', 'exp', '--goal', 'see it work', ...REASON], at());
  await goldfish(['mount', 'exp', ...REASON], at());
  rmSync(join(project.root, 'workspaces/w1/configs'), { recursive: true });
  writeStages(project, 'workspaces/w1', {
    pipeline: 'name: one\nstages:\n  - name: noisy\n    outputs: { done: json }\n',
    modules: { noisy: NOISY },
    configs: { noisy: '{}\n' },
  });
  const run = await goldfish(['run', 'exp', ...REASON, '--wait', '--json'], at());
  const answer = JSON.parse(run.out);
  expect(answer).toMatchObject({ state: 'completed', wait: { done: true } });
  id = answer.pipeline_run_id;
  runId = answer.runs[0].run_id;
});
afterAll(async () => {
  endPrograms();
  await project.dispose();
});

describe('--json', () => {
  it('is one document on stdout and nothing on stderr, for every command', async () => {
    const commands = [
      ['init', 'test'],
      ['status'],
      ['status', '--config'],
      ['workspace', 'list'],
      ['workspace', 'show', 'exp'],
      ['mount', 'exp', ...REASON],
      ['run', 'exp', ...REASON],
      ['run', 'exp', ...REASON, '--dry-run'],
      ['run', 'exp', ...REASON, '--wait', '--print-id', '--verbose'],
      ['runs'],
      ['logs', runId, '--tail', '2'],
      ['wait', id],
      ['cancel', id, ...REASON],
      ['validate'],
      ['call'],
      ['call', 'metrics', JSON.stringify({ run_ids: [runId] })],
      ['supervisor', '--status'],
    ];
    for (const argv of commands) {
      const { code, out, err } = await goldfish([...argv, '--json'], at());
      expect({ argv, code, err }).toEqual({ argv, code: 0, err: '' });
      expect(out.endsWith('\n') && !out.slice(0, -1).includes('\n')).toBe(true);
      expect(JSON.parse(out)).not.toHaveProperty('error');
    }
  });

  it('is the error on stdout where the command is refused', async () => {
    for (const argv of [
      ['logs', 'stage-000000'],
      ['wait', 'prun-000000'],
      ['call', 'nope'],
      ['call', 'status', '{'],
    ]) {
      const { code, out, err } = await goldfish([...argv, '--json'], at());
      expect(err).toBe('');
      expect([2, 3]).toContain(code);
      expect(JSON.parse(out).error).toMatchObject({ code: expect.any(String), message: expect.any(String) });
    }
  });

  it('has every line of a log that is read to its end', async () => {
    const { out } = await goldfish(['logs', runId, '--json', '--grep', 'line 2999'], at());
    const texts = JSON.parse(out).lines.map((line: { text: string }) => line.text);
    expect(texts).toEqual(['line 2999', ...Array.from({ length: 10 }, (_, i) => `line 2999${i}`)]);
  });

  it('follows a log as a document for each page', async () => {
    const { out } = await goldfish(['logs', runId, '--json', '--follow'], at());
    const pages = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(pages.length).toBeGreaterThan(1);
    const lines = pages.flatMap((page: { lines: unknown[] }) => page.lines);
    expect(lines).toHaveLength(30_003);
  });
});

describe('stdin', () => {
  it('is left alone: what stands there is for the next program of a script', async () => {
    const script =
      'goldfish status >/dev/null; goldfish runs >/dev/null; goldfish call status >/dev/null; cat';
    expect(await shell(script, { ...at(), stdin: 'still here\n' })).toMatchObject({
      code: 0,
      out: 'still here\n',
    });
  });

  it('is read by `call TOOL -`', async () => {
    const piped = await goldfish(['call', 'inspect_run', '-', '--json'], {
      ...at(),
      stdin: JSON.stringify({ run_id: runId }),
    });
    expect(piped.code).toBe(0);
    expect(JSON.parse(piped.out).run_id).toBe(runId);
    const empty = await goldfish(['call', 'status', '-'], { ...at(), stdin: '' });
    expect(empty.code).toBe(2);
    expect(empty.err).toContain('The arguments are no JSON');
  });
});

describe('stdout', () => {
  it('whose reader goes away ends the command quietly', async () => {
    const script = `goldfish logs ${runId} | head -n 5; echo "$\{PIPESTATUS[@]}"; goldfish logs ${runId} --json -f | head -c 10`;
    const { code, out, err } = await shell(script, at());
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out.split('\n').slice(2)).toEqual(['naïve 数据', 'line 0', 'line 1', '0 0', '{"run_id":']);
  });

  it('gets what a program printed as it is when piped', async () => {
    const { out } = await goldfish(['logs', runId], at());
    expect(
      out.startsWith(`${ESC}]0;owned\u0007title ${ESC}[31mred${ESC}[2J\n10 %\r100 %\nnaïve 数据\nline 0\n`),
    ).toBe(true);
    expect(out.trimEnd().split('\n')).toHaveLength(30_003);
  });

  it('gets text and colours only when it is a terminal', async () => {
    const { code, out } = await goldfishOnTerminal(['logs', runId], at());
    expect(code).toBe(0);
    expect(out.replaceAll('\r\n', '\n').split('\n').slice(0, 4)).toEqual([
      `title ${ESC}[31mred${ESC}[0m`,
      '100 %',
      'naïve 数据',
      'line 0',
    ]);
    const plain = await goldfishOnTerminal(['logs', runId, '--tail', '30003', '--no-color'], at());
    expect(plain.out.startsWith('title red\r\n')).toBe(true);
  });

  it('has tables in colour, cut to the width, on a terminal', async () => {
    const { out } = await goldfishOnTerminal(['status', '--config'], at());
    expect(out).toContain(`${ESC}[1mKEY`);
    const call = await goldfishOnTerminal(['call'], at());
    const widths = call.out
      .replaceAll(new RegExp(`${ESC}\\[[0-9;]*m`, 'g'), '')
      .split('\r\n')
      .map((line) => line.length);
    expect(Math.max(...widths)).toBe(80);
    const quiet = await goldfishOnTerminal(['call'], { ...at(), env: { NO_COLOR: '1' } });
    expect(quiet.out).not.toContain(ESC);
  });
});

describe('serve', () => {
  it('starts without the modules of the other commands, for a client waits', async () => {
    const hook = `import { registerHooks } from 'node:module';
registerHooks({ load: (url, context, next) => { process.stderr.write(url + '\\n'); return next(url, context); } });`;
    const preload = `data:text/javascript,${encodeURIComponent(hook)}`;
    const server = start(
      [
        process.execPath,
        '--import',
        preload,
        assetPath('bin/goldfish.js'),
        'serve',
        '--project',
        project.root,
      ],
      { ...at(), stdin: '' },
    );
    const { code, out, err } = await server.ended;
    expect({ code, out }).toEqual({ code: 0, out: '' });
    expect(err).toContain('/src/mcp/main.ts');
    expect(err).not.toMatch(/commander|\/src\/cli\/program|better-sqlite3/);
  });

  it('is reached with options before its name too', async () => {
    const request = { jsonrpc: '2.0', id: 1, method: 'ping' };
    const { code, out } = await goldfish(['--project', project.root, 'serve'], {
      cwd: project.outside,
      stdin: `${JSON.stringify(request)}\n`,
    });
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({ jsonrpc: '2.0', id: 1, result: {} });
  });
});
