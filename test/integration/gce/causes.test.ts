import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CAUSES, type Cause } from '../../../src/core/causes.ts';
import type { CauseCase, Ended } from '../causes-case.ts';
import { filesOf } from '../causes-case.ts';
import { type CausesProject, createCausesProject } from '../causes-project.ts';
import { PROGRAM_THAT_WAITS } from '../causes-table.ts';
import { describeCauses } from '../describe-causes.ts';
import { until } from '../until.ts';
import { hasRentals, NEEDS_RENTALS } from './needs.ts';
import { openRentedRig, type RentedRig } from './rented-rig.ts';

/** Each of these machines is another one, so that what is done to it is done to one run. */
const PROFILES = {
  crowded: { machine_type: 'e2-medium' },
  unfit: {
    machine_type: 'e2-small',
    preflight: [['true'], ['sh', '-c', 'echo no driver here >&2; exit 4']],
  },
  cheap: { machine_type: 'e2-standard-4', provisioning: ['spot'] },
  lonely: { machine_type: 'n1-standard-4' },
};
const NAN = `import time, goldfish
print('begun', flush=True)
goldfish.log_metric('loss', float('nan'), step=2)
time.sleep(600)
`;

const NO_PLACE = ['us-central1-a', 'us-central1-b']
  .map(
    (zone) =>
      `${zone}, standard: The zone 'projects/demo/zones/${zone}' does not have enough resources available to fulfill the request.  Try a different zone, or try again later.`,
  )
  .join(' ');
const UNKNOWN = { exit_code: null, signal: null } as const;
const INFRA = { class: 'infra', retry_safe: true, first_error_line: null, next: 'retry' } as const;

/** Ways to end that only a rented machine has, or that something of the service leads to. */
const RENTED: readonly (CauseCase & {
  act?: 'preempt' | 'vanish' | 'refuse outputs' | 'garble the result';
})[] = [
  {
    cause: 'no_capacity',
    name: 'finds_no_place',
    config: 'compute: { profile: crowded, capacity_wait_seconds: 3 }\n',
    program: 'pass\n',
    ended: {
      state: 'failed',
      ...UNKNOWN,
      failure: { ...INFRA, message: `No machine was to be had: ${NO_PLACE}` },
      log: [],
    },
  },
  {
    cause: 'preflight_failed',
    name: 'is_not_fit',
    config: 'compute: { profile: unfit }\n',
    program: 'pass\n',
    ended: {
      state: 'failed',
      ...UNKNOWN,
      failure: {
        ...INFRA,
        message: 'The check `sh -c echo no driver here >&2; exit 4` ended with exit code 4: no driver here.',
      },
      log: [],
    },
  },
  {
    cause: 'preempted',
    name: 'is_taken_back',
    config: 'compute: { profile: cheap }\n',
    program: PROGRAM_THAT_WAITS,
    act: 'preempt',
    ended: {
      state: 'terminated',
      ...UNKNOWN,
      failure: { ...INFRA, class: 'preempted', message: 'Its machine is gone. Its provider took it back.' },
      log: ['stdout: I have begun'],
    },
  },
  {
    cause: 'worker_lost',
    name: 'loses_its_machine',
    config: 'compute: { profile: lonely }\n',
    program: PROGRAM_THAT_WAITS,
    act: 'vanish',
    ended: {
      state: 'terminated',
      ...UNKNOWN,
      failure: {
        ...INFRA,
        message: 'Its machine is gone. It is not there any more, and nobody here asked for that.',
      },
      log: ['stdout: I have begun'],
    },
  },
  {
    cause: 'worker_lost',
    name: 'is_garbled_on_its_way',
    program: PROGRAM_THAT_WAITS,
    act: 'garble the result',
    ended: {
      state: 'terminated',
      ...UNKNOWN,
      failure: {
        ...INFRA,
        message:
          'The result document is garbled: The result document is damaged: 55 characters that make no sense.',
      },
      log: ['stdout: I have begun'],
    },
  },
  {
    cause: 'upload_failed',
    name: 'cannot_send',
    stage: 'outputs: { made: json }',
    program: PROGRAM_THAT_WAITS,
    act: 'refuse outputs',
    ended: {
      state: 'terminated',
      exit_code: 0,
      signal: null,
      failure: {
        ...INFRA,
        message: 'attempt/outputs/made.json could not be sent: HTTP 403: As the script has it.',
      },
      log: ['stdout: I have begun'],
    },
  },
  {
    cause: 'stopped_by_monitor',
    name: 'counts_to_nowhere',
    config: 'compute: { monitors: { non_finite: { action: stop } } }\n',
    program: NAN,
    ended: {
      state: 'terminated',
      exit_code: null,
      signal: 'SIGTERM',
      failure: {
        class: 'code',
        message: 'The metric "loss" is NaN at step 2.',
        retry_safe: false,
        first_error_line: null,
        next: 'logs',
      },
      log: ['stdout: begun'],
    },
  },
];

let rig: RentedRig;
const sections = (): string =>
  rig.yaml({ enabled: true, max_instances: 4 }, { max_parallel: 6, profile_overrides: PROFILES });

beforeAll(async () => {
  if (hasRentals) rig = await openRentedRig();
}, 120_000);
afterAll(() => rig?.close(), 120_000);

/** A machine cleans up for a moment after its last run. */
async function giveBack({ client }: CausesProject): Promise<void> {
  const isAsked = async (): Promise<boolean> => {
    const answer = await client.call('warm_pool_cleanup', { reason: 'All runs are over' });
    return (answer['remaining'] as unknown[]).length === 0;
  };
  await until(isAsked, 'the machines to have no work', 60);
  await until(() => rig.instances().length === 0, 'the machines to be gone', 120);
}

describeCauses('gce', {
  there: hasRentals,
  needs: NEEDS_RENTALS,
  sections,
  end: giveBack,
  messages: {
    // What is no file is not sent.
    beats_strangely: 'The heartbeat of rank 0 is missing: none came within 20 s of its start.',
    vanishes: 'What supervises the program ended without a word: how the program ended is not known.',
  },
});

describe.skipIf(!hasRentals)(`what only a rented machine meets${NEEDS_RENTALS}`, () => {
  let made: CausesProject;
  let ids: Record<string, string>;

  beforeAll(async () => {
    made = await createCausesProject('gce', sections());
    rig.simulator.faults.add({ kind: 'stock-out', machineType: 'e2-medium', times: 'always' });
    await made.workspace('exp', filesOf(RENTED));
    ids = await made.run('exp');
    await Promise.all(
      RENTED.map(async ({ name, act }) => {
        if (act === undefined) return;
        const runId = ids[name]!;
        await made.begun(runId);
        await until(async () => (await made.tail(runId, 1)).length > 0, `a line of ${name}`, 60);
        await perform(act, runId);
      }),
    );
    await made.over(ids['pipeline']!);
  }, 300_000);
  afterAll(() => made?.dispose(), 60_000);

  for (const { cause, name, ended } of RENTED) {
    it(`${cause}: a run that ${name.replaceAll('_', ' ')}`, async () => {
      expect(await seen(ids[name]!)).toEqual(expected(cause, ended));
    });
  }

  it('leaves no machine that is paid for, and no container', async () => {
    await giveBack(made);
    expect(rig.bills().filter(({ endedAt }) => endedAt === undefined)).toEqual([]);
    await until(async () => (await rig.remains()).length === 0, 'their containers to be gone', 60);
  }, 200_000);

  async function perform(act: NonNullable<(typeof RENTED)[number]['act']>, runId: string): Promise<void> {
    if (act === 'preempt') rig.simulator.preempt(machineOf('e2-standard-4'));
    else if (act === 'vanish') rig.simulator.vanish(machineOf('n1-standard-4'));
    else if (act === 'garble the result')
      await rig.emulator.fill(rig.bucket, [`${await prefixOf(runId)}exit.json`]);
    else {
      const name = `${await prefixOf(runId)}outputs/made.json`;
      await rig.emulator.trouble({ name, do: { kind: 'status', status: 403 }, times: 1_000 });
      made.release(runId);
    }
  }

  /** Where the bucket has what is of its attempt. */
  async function prefixOf(runId: string): Promise<string> {
    const answer = await fetch(`${rig.emulator.url}/storage/v1/b/${rig.bucket}/o`);
    const { items } = (await answer.json()) as { items: { name: string }[] };
    const key = items.map(({ name }) => name).find((name) => name.endsWith(`/${runId}/1/job.json`));
    if (key === undefined) throw new Error(`there is no job document of ${runId}`);
    return key.slice(0, -'job.json'.length);
  }

  function machineOf(type: string): string {
    const found = rig.simulator.instances().find(({ machineType }) => machineType?.endsWith(`/${type}`));
    if (found === undefined) throw new Error(`there is no machine of type ${type}`);
    return found.name;
  }

  async function seen(runId: string) {
    const run = await made.inspect(runId);
    const {
      class: kind,
      message,
      retry_safe,
      first_error_line,
      next,
    } = run['failure'] as Record<string, unknown>;
    return {
      ...Object.fromEntries(
        ['state', 'cause', 'sentence', 'attempt', 'exit_code', 'signal'].map((key) => [key, run[key]]),
      ),
      failure: { class: kind, message, retry_safe, first_error_line, next: (next as { tool: string }).tool },
      log: await made.tail(runId, 5),
    };
  }
});

function expected(cause: Cause, ended: Ended) {
  return { cause, sentence: CAUSES[cause].sentence, attempt: 1, ...ended };
}
