import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { goldfishIn } from '../support/cli-in-process.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'goldfish-cli-pool-'));
  await goldfish('init', 'fish');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const goldfish = (...argv: string[]) => goldfishIn(folder, argv);

const KEYS =
  'Set gce.project_id, gce.zones, gce.service_account, gce.artifact_registry and storage.gcs.bucket in goldfish.yaml.';
const NONE = 'goldfish.yaml has no section "gce": no machine is rented.';
const REASON = ['--reason', 'Nobody needs them until Monday'];

describe('goldfish pool', () => {
  it('says that there are no machines, and what would bring some', async () => {
    expect(await goldfish('pool')).toEqual({
      code: 0,
      out: `${NONE} ${KEYS}\nThere is no machine now.\n`,
      err: '',
    });
  });

  it('gives the answer of the tool to a script', async () => {
    const { code, out, err } = await goldfish('pool', '--json');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(JSON.parse(out)).toMatchObject({ schema_version: 1, enabled: false, workers: [], machines: 0 });
  });

  it('cleanup is refused where no machine can be rented, with 5', async () => {
    expect(await goldfish('pool', 'cleanup', ...REASON)).toEqual({
      code: 5,
      out: '',
      err: `goldfish: The backend "gce" is not configured. [BACKEND_UNAVAILABLE]\n  hint: ${KEYS}\n`,
    });
    expect((await goldfish('pool', 'cleanup', 'goldfish-aaaaaa', ...REASON)).code).toBe(5);
  });

  it('cleanup wants a reason, and the pool no other word', async () => {
    const { code, err } = await goldfish('pool', 'cleanup');
    expect(code).toBe(2);
    expect(err).toContain("Required option '--reason <text>' not specified.");
    expect((await goldfish('pool', 'clean')).code).toBe(2);
  });
});
