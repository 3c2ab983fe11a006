import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { execute } from '../../src/cli/program.ts';
import type { Sink } from '../../src/cli/streams.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'goldfish-cli-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

function sink() {
  const written: string[] = [];
  const target: Sink = {
    write: (text) => {
      written.push(text);
    },
    isTerminal: false,
    columns: () => undefined,
  };
  return { target, text: () => written.join('') };
}

async function doctor(...options: string[]) {
  const [out, err] = [sink(), sink()];
  const streams = { out: out.target, err: err.target };
  const code = await execute(['doctor', '--gce', ...options], { streams, environment: {}, cwd: folder });
  return { code, out: out.text(), err: err.text() };
}

const FIX =
  'Set gce.project_id, gce.zones, gce.service_account, gce.artifact_registry and storage.gcs.bucket in goldfish.yaml.';

describe('goldfish doctor --gce', () => {
  it('says which keys a project lacks that rents no machines, and ends with 1', async () => {
    await writeFile(join(folder, 'goldfish.yaml'), 'project_name: test\n');
    expect(await doctor()).toEqual({
      code: 1,
      out: 'COMPONENT  STATE   DETAIL\nsettings   failed  no rented machines are configured\n',
      err: `settings: ${FIX}\n`,
    });
    const { code, out } = await doctor('--json');
    expect({ code, answer: JSON.parse(out) }).toEqual({
      code: 1,
      answer: {
        ok: false,
        findings: [
          {
            component: 'settings',
            state: 'failed',
            detail: 'no rented machines are configured',
            fix: FIX,
          },
        ],
      },
    });
  });

  it('says what is wrong with a config that cannot be read', async () => {
    await writeFile(join(folder, 'goldfish.yaml'), 'project_name: test\ngce: { zones: 3 }\n');
    const { code, out } = await doctor('--json');
    expect({ code, answer: JSON.parse(out) }).toMatchObject({
      code: 1,
      answer: { ok: false, findings: [{ component: 'project', state: 'broken' }] },
    });
  });
});
