import { existsSync } from 'node:fs';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { JobDocument } from '../../../src/backends/gce/job-document.ts';
import { fewPrograms } from './machine-programs.ts';
import { processJob } from './worker-jobs.ts';
import { openForEach, type Rig } from './worker-rig.ts';

let rig: Rig;
/** All programs that the machine has. */
let bin: string;
openForEach(async (opened) => {
  rig = opened;
  bin = await fewPrograms(rig);
});

const rule = () => join(rig.home, 'rule');

/** A table of rules that has room for one. `put`: what putting it there does. The real one: metadata-guard.test.ts. */
async function pretendIptables(put = `: > '${rule()}'`): Promise<void> {
  const path = join(bin, 'iptables');
  const script = `#!/bin/sh
echo "$*" >> '${rig.home}/called'
case "$*" in
  *" -C "*) test -e '${rule()}' ;;
  *" -I "*) ${put} ;;
esac
`;
  await writeFile(path, script);
  await chmod(path, 0o755);
}

const called = async () => {
  const text = await readFile(join(rig.home, 'called'), 'utf8').catch(() => '');
  return text.split('\n').filter((line) => line !== '');
};
const RULE = 'PREROUTING -d 169.254.169.254 -p tcp ! --dport 53 -j DROP';
const LOOK = `-w 20 -t raw -C ${RULE}`;
const PUT = `-w 20 -t raw -I ${RULE}`;

async function jobIn(...modes: (string | undefined)[]): Promise<JobDocument> {
  const job = await processJob(rig, 'true');
  const [container] = job.containers;
  const containers = modes.map((NetworkMode, number) => ({
    name: `${container!.name}-${number}`,
    body: { ...container!.body, HostConfig: { NetworkMode } },
  }));
  return rig.assign({ ...job, containers });
}

describe('a stage with a network', () => {
  it('begins behind the rule that keeps it from the metadata server, which is looked for each time', async () => {
    await pretendIptables();
    rig.boot({}, { PATH: bin });
    expect(await rig.result(await jobIn('bridge'))).toMatchObject({ exitCode: 0 });
    expect(await called()).toEqual([LOOK, PUT, LOOK]);
    await rig.result(await jobIn('bridge', 'container:x'));
    expect(await called()).toEqual([LOOK, PUT, LOOK, LOOK]);
    // Somebody has taken it away meanwhile.
    await rm(rule());
    await rig.result(await jobIn('none', 'bridge'));
    expect(await called()).toEqual([LOOK, PUT, LOOK, LOOK, LOOK, PUT, LOOK]);
  });

  it('is one that does not say that it has none', async () => {
    await pretendIptables();
    rig.boot({}, { PATH: bin });
    await rig.result(await jobIn(undefined));
    expect(await called()).toEqual([LOOK, PUT, LOOK]);
  });

  it.each([
    ['has no iptables', undefined, 'iptables is not installed'],
    ['may not change its rules', 'exit 4', 'iptables does not keep the rule for it'],
    ['loses what it is told', 'exit 0', 'iptables does not keep the rule for it'],
  ])('does not begin on a machine that %s, where others still do', async (_what, put, why) => {
    if (put !== undefined) await pretendIptables(put);
    rig.boot({}, { PATH: bin });
    expect(await rig.result(await jobIn('bridge'))).toMatchObject({
      started: false,
      failedStep: 'machine',
      error: `The stage has a network, and its machine cannot keep it from the metadata server, and so from the account of the machine: ${why}. Its image must have iptables (docs/gce.md, step 7).`,
    });
    // Not even its image came.
    expect(rig.engine.pulls).toEqual([]);
    expect(await rig.result(await jobIn('none'))).toMatchObject({ exitCode: 0 });
  });
});

it('asks nothing of the kernel for stages without a network', async () => {
  await pretendIptables();
  rig.boot({}, { PATH: bin });
  expect(await rig.result(await jobIn('none', 'container:x'))).toMatchObject({ exitCode: 0 });
  expect([await called(), existsSync(rule())]).toEqual([[], false]);
});
