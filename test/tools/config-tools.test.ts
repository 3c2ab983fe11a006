import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openContext } from '../../src/context.ts';
import { systemClock } from '../../src/core/clock.ts';
import { systemIds } from '../../src/core/ids.ts';
import type { Logger } from '../../src/core/logger.ts';
import { recentAudit } from '../../src/store/audit.ts';
import type { Db } from '../../src/store/database.ts';
import { callTool } from '../../src/tools/call-tool.ts';
import { defineTool, type Tool } from '../../src/tools/define-tool.ts';
import { answer } from '../../src/tools/fields.ts';
import { listProfiles } from '../../src/tools/list-profiles.ts';
import { reloadConfig } from '../../src/tools/reload-config.ts';
import { createSession, type Session } from '../../src/tools/session.ts';
import { status } from '../../src/tools/status.ts';
import { validate } from '../../src/tools/validate.ts';
import { until } from '../integration/until.ts';

const BASE = 'project_name: test\ndefaults: { backend: process }\n';
const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {} };

let root: string;
let session: Session;
let toolsChanged: number;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'goldfish-tools-'));
  config(BASE);
  toolsChanged = 0;
  session = createSession({
    startFolder: root,
    clock: systemClock,
    ids: systemIds,
    log: quiet,
    findProject: async () => root,
    openContext: (folder) => openContext({ root: folder, log: quiet }),
    onToolsChanged: () => {
      toolsChanged += 1;
    },
  });
});
afterEach(async () => {
  await session.close();
  rmSync(root, { recursive: true });
});

function config(text: string): void {
  writeFileSync(join(root, 'goldfish.yaml'), text);
}

async function call(tool: Tool, args: Record<string, unknown> = {}) {
  const context = { signal: new AbortController().signal, progress: () => undefined, actor: 'test' };
  const result = await callTool(session, [tool], { name: tool.name, arguments: args }, context);
  const { structuredContent: structured, content } = result;
  return { ...structured, text: content[0]?.text ?? '' } as Record<string, unknown> & { text: string };
}

function isOpen(db: Db): boolean {
  try {
    return db.prepare('SELECT 1').get() !== undefined;
  } catch {
    return false;
  }
}

describe('list_profiles', () => {
  it('shows each profile with what it means here and why it cannot run where it cannot', async () => {
    config(
      `${BASE}profiles:\n  half: { description: Half of it, memory: 512m, cpus: 0.5, price_per_hour: 0.1 }\n  gpu: { gpus: 1 }\n`,
    );
    const { profiles, text } = await call(listProfiles);
    const rows = profiles as Record<string, unknown>[];
    expect(rows.map(({ name, origin, available }) => [name, origin, available])).toEqual([
      ['default', 'built-in', true],
      ['cpu-small', 'built-in', true],
      ['cpu-large', 'built-in', true],
      ['half', 'goldfish.yaml', true],
      ['gpu', 'goldfish.yaml', false],
      ['h100-spot', 'built-in', false],
      ['h100-on-demand', 'built-in', false],
      ['a100-spot', 'built-in', false],
      ['a100-on-demand', 'built-in', false],
    ]);
    expect(rows[3]).toMatchObject({
      description: 'Half of it',
      backend: 'process',
      image: null,
      memory: 512 * 1024 ** 2,
      cpus: 0.5,
      gpus: 0,
      pids_limit: null,
      network: true,
      price_per_hour: 0.1,
    });
    expect(text).toMatch(/^half +yes +process +0\.5 GiB, 0\.5 processors, network/m);
    expect(text).toMatch(
      /^gpu +no +process .*A stage of this profile asks for 1 GPU; the backend "process" has none here\.$/m,
    );
  });

  it('says of a backend that is not there that nothing can run', async () => {
    const { profiles } = await call(listProfiles, { backend: 'proces' });
    expect((profiles as Record<string, unknown>[])[0]).toMatchObject({
      name: 'default',
      available: false,
      why: 'There is no backend "proces" here.',
      backend: null,
    });
  });
});

describe('reload_config', () => {
  it('says what changed and where it stands, and later calls see it', async () => {
    expect(await call(status, { include: ['config'] })).toMatchObject({ project: { name: 'test' } });
    config(`${BASE}mcp: { max_wait_seconds: 7 }\nprofiles:\n  new:\n    cpus: 1\n`);
    expect((await session.context()).config.mcp.maxWaitSeconds).toBe(50);
    const reloaded = await call(reloadConfig);
    expect(reloaded).toMatchObject({
      applied: true,
      changed: [
        { key: 'mcp.max_wait_seconds', from: 50, to: 7, origin: 'goldfish.yaml:3' },
        { key: 'profiles.new.cpus', from: null, to: 1, origin: 'goldfish.yaml:6' },
      ],
      restart: [],
      supervisor: 'None is at work; the next one starts with the file as it is.',
    });
    expect(reloaded.text).toContain('2 values changed. This server uses them now.');
    expect((await session.context()).config.mcp.maxWaitSeconds).toBe(7);
    expect(toolsChanged).toBe(1);
    expect(recentAudit((await session.context()).db, 1)[0]).toMatchObject({
      operation: 'reload_config',
      outcome: 'ok',
    });
    config(BASE);
    expect(await call(reloadConfig)).toMatchObject({
      changed: [
        { key: 'mcp.max_wait_seconds', from: 7, to: 50, origin: 'built-in' },
        { key: 'profiles.new.cpus', from: 1, to: null, origin: 'removed' },
      ],
    });
  });

  it('says so where nothing changed', async () => {
    await call(status);
    config(`# a comment\n${BASE}`);
    expect(await call(reloadConfig)).toMatchObject({ changed: [], applied: true });
  });

  it('changes nothing where the file has problems, and shows them with their places', async () => {
    await call(status);
    const before = await session.context();
    config(`${BASE}slots: 0\nprofile: x\n`);
    const { error } = await call(reloadConfig);
    expect(error).toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringMatching(/^goldfish\.yaml:3:8: "slots" must be .* \(and 1 more problem\)$/),
      details: {
        problems: [
          { line: 3, column: 8 },
          { line: 4, column: 1 },
        ],
      },
    });
    expect(await session.context()).toBe(before);
    expect(await call(status)).toMatchObject({ project: { name: 'test' }, errors: [] });
  });

  it('goes on with what it had where the state would move, and says what needs a restart', async () => {
    await call(status);
    const before = await session.context();
    config(`${BASE}state_dir: elsewhere\nslots: 1\n`);
    const reloaded = await call(reloadConfig);
    expect(reloaded).toMatchObject({
      applied: false,
      restart: [
        {
          what: 'this server and the supervisor',
          why: 'state_dir moves where things are kept. Let all runs end, move the folder, then start them anew.',
        },
      ],
    });
    expect((reloaded['changed'] as { key: string }[]).map(({ key }) => key)).toEqual(['slots', 'state_dir']);
    expect(await session.context()).toBe(before);
  });

  it('says of machines that are rented what has to be done before a project or a bucket changes', async () => {
    const rented = (bucket: string, project: string): string => `${BASE}gce:
  project_id: ${project}
  zones: [us-central1-a]
  service_account: worker@my-gcp.iam.gserviceaccount.com
  artifact_registry: europe-docker.pkg.dev/my-gcp/images
storage: { gcs: { bucket: ${bucket} } }
`;
    config(rented('my-bucket', 'my-gcp'));
    await call(status);
    config(rented('other-bucket', 'other-gcp'));
    const reloaded = await call(reloadConfig);
    const what = 'this server and the supervisor';
    const then =
      'Let all runs end and give every machine back, then start them anew: machines that are left would be nobody’s.';
    expect(reloaded).toMatchObject({
      applied: false,
      restart: [
        { what, why: `storage.gcs.bucket says where machines find their work. ${then}` },
        { what, why: `gce.project_id says where machines are rented. ${then}` },
      ],
    });
  });

  it('opens a project that could not be opened before', async () => {
    config('project_name: test\nslots: 0\n');
    expect(await call(status)).toMatchObject({ project: null });
    config(BASE);
    expect(await call(reloadConfig)).toMatchObject({ applied: true, changed: [] });
  });

  it('closes what it replaces only when the calls that use it are over', async () => {
    let finish = (): void => undefined;
    const slow = defineTool({
      name: 'slow',
      title: 'Slow',
      description: 'Reads late',
      toolset: 'all',
      annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
      input: z.strictObject({}),
      output: answer({ slots: z.int(), open: z.boolean() }),
      handler: async (ctx) => {
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        return { slots: ctx.workspaces.slots().length, open: isOpen(ctx.db) };
      },
      render: () => '',
    });
    const old = await session.context();
    const under = call(slow);
    config(`${BASE}slots: 1\n`);
    expect(await call(reloadConfig)).toMatchObject({ applied: true });
    finish();
    expect(await under).toMatchObject({ slots: 3, open: true });
    const now = await session.context();
    expect(now.config.slots).toEqual(['w1']);
    await until(() => !isOpen(old.db), 'the end of what was replaced');
    expect(isOpen(now.db)).toBe(true);
  });
});

describe('notes about goldfish.yaml', () => {
  const LEGACY = 'project_name: test\njobs: { backend: process, infra_path: x }\n';
  const NOTES = [
    ['"jobs.backend" is "defaults.backend" now.', 2, 9],
    ['"jobs.infra_path" is not read any more. It is not needed: nothing is started through scripts.', 2, 27],
    ['It is not read: it may be read or written by others than its owner.', 0, 0],
  ];

  beforeEach(() => {
    config(LEGACY);
    writeFileSync(join(root, '.env'), 'A=b\n');
    chmodSync(join(root, '.env'), 0o644);
  });

  it('are in the answer of validate, and are no problems', async () => {
    const { valid, notes, text } = await call(validate);
    expect(valid).toBe(true);
    expect(
      (notes as Record<string, unknown>[]).map(({ message, line, column }) => [message, line, column]),
    ).toEqual(NOTES);
    expect(text).toContain('note: goldfish.yaml:2:9: "jobs.backend" is "defaults.backend" now.');
    expect(text).toContain('note: .env: It is not read');
  });

  it('are in status with include config, beside every value and its origin', async () => {
    const shown = await call(status, { include: ['config'] });
    expect(shown['config_notes']).toEqual([
      'goldfish.yaml:2:9: "jobs.backend" is "defaults.backend" now. Move it to "defaults.backend".',
      'goldfish.yaml:2:27: "jobs.infra_path" is not read any more. It is not needed: nothing is started through scripts. Remove it.',
      '.env: It is not read: it may be read or written by others than its owner. Run: chmod 600 .env',
    ]);
    expect(shown['config']).toContainEqual({
      key: 'defaults.backend',
      value: 'process',
      origin: 'goldfish.yaml:2',
    });
    expect(await call(status)).not.toHaveProperty('config_notes');
  });
});
