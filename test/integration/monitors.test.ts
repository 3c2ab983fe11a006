import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../scripts/setup/test-image.ts';
import type { ToolClient } from '../../src/mcp/client.ts';
import { processStart } from '../../src/os/process-identity.ts';
import { findProcesses } from '../contracts/backend-harness.ts';
import { containersOf, hasEngine, NEEDS_ENGINE } from '../contracts/docker-under-test.ts';
import { createTestProject, mountStages, type TestProject, until, waitOver } from '../support/project.ts';

/** Longer than an interpreter takes to start on a busy machine: until then nothing comes of a stage either. */
const STALL_SECONDS = 15;

const BEGIN = `
import os, signal, subprocess, time
import goldfish
print('begun', flush=True)
def for_ever():
    while True: time.sleep(1)
`;

const MODULES = {
  nan: `${BEGIN}
goldfish.log_metric('loss', 0.5, step=1)
goldfish.log_metric('loss', float('nan'), step=2)
for_ever()
`,
  // Goes on behind the fourth point beyond the limit when the test says so.
  diverges: `${BEGIN}
goldfish.log_metric('loss', 1, step=1)
for step in range(2, 21):
    while step == 6 and not os.path.exists(os.environ['GOLDFISH_CONTROL'] + '/go'): time.sleep(0.05)
    goldfish.log_metric('loss', 20 + step, step=step)
for_ever()
`,
  // Hears no TERM, and is not alone.
  stalls: `${BEGIN}
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(['sleep', '1000'])
for_ever()
`,
  warns: `${BEGIN}
goldfish.log_metric('val', float('inf'), step=7)
for_ever()
`,
};
const STOP_NAN = 'compute: { monitors: { non_finite: { action: stop } } }\n';
const CONFIGS = {
  nan: STOP_NAN,
  diverges: 'compute: { monitors: { divergence: { action: stop, metric: loss, points: 8 } } }\n',
  stalls: `compute: { monitors: { stall: { action: stop, after_seconds: ${STALL_SECONDS} } } }\n`,
  warns: `compute: { monitors: { stall: { after_seconds: ${STALL_SECONDS} } } }\n`,
};
const STAGES = Object.keys(MODULES) as (keyof typeof MODULES)[];
const SAID = {
  nan: 'The metric "loss" is NaN at step 2.',
  diverges:
    'The metric "loss" diverges: 8 points in a row lie above 10 (best 1 at step 1, factor 10), the last is 29 at step 9.',
  stalls: `It stalled: no line of log, metric, progress or checkpoint came for ${STALL_SECONDS} s.`,
};
const INFINITE = 'The metric "val" is Infinity at step 7.';
/** A run that a monitor stopped, as it is told; `log_tail`: all that it printed. */
const stoppedBy = (signal: string, message: string) => ({
  state: 'terminated',
  cause: 'stopped_by_monitor',
  attempt: 1,
  exit_code: null,
  signal,
  failure: { class: 'code', message, retry_safe: false, first_error_line: null, log_tail: ['begun'] },
});

type Answer = Record<string, unknown>;

for (const backend of ['process', 'docker'] as const) {
  const needs = backend === 'docker' ? NEEDS_ENGINE : '';
  describe.skipIf(backend === 'docker' && !hasEngine)(`a monitored run on ${backend}${needs}`, () => {
    let project: TestProject;
    let client: ToolClient;
    let ids: Record<string, string>;
    let pipelineRun: string;

    const inspect = (stage: string) =>
      client.call('inspect_run', { run_id: ids[stage], include: ['events'] });
    const ended = async (stage: string): Promise<Answer> => {
      await until(async () => (await inspect(stage))['ended_at'] !== null, 90_000, `the end of ${stage}`);
      return inspect(stage);
    };

    beforeAll(async () => {
      project = createTestProject({
        config: `defaults: { backend: ${backend}, stop_grace_seconds: 1 }
process: { sandbox: none, max_parallel: 4 }
docker: { base_image: '${TEST_IMAGE}', max_parallel: 4, cpus: 1 }
`,
      });
      const stages = STAGES.map((name) => `  - { name: ${name}, retries: { max_restarts: 2 } }\n`);
      const pipeline = `stages:\n${stages.join('')}`;
      const mounted = await mountStages(project, { pipeline, modules: MODULES, configs: CONFIGS });
      client = mounted.client;
      const answer = await client.call('run', { workspace: 'exp', reason: 'See what monitors do' });
      pipelineRun = String(answer['pipeline_run_id']);
      ids = Object.fromEntries(
        (answer['runs'] as { stage: string; run_id: string }[]).map((run) => [run.stage, run.run_id]),
      );
    }, 120_000);
    afterAll(() => project.dispose());

    it('that diverges is stopped at the point that is too much, also where the supervisor was killed among them', async () => {
      const taken = () =>
        project.rows<{ n: number }>(
          'SELECT count(*) AS n FROM metrics WHERE run_id = ?',
          ids['diverges'] ?? '',
        );
      await until(() => taken()[0]?.n === 5, 90_000, 'the points before the kill');
      const pid = project.supervisorPid() ?? 0;
      process.kill(pid, 'SIGKILL');
      await until(() => processStart(pid) === undefined, 20_000, 'the end of the supervisor');
      const control = join(project.root, '.goldfish/runs', ids['diverges'] ?? '', '1/control');
      mkdirSync(control, { recursive: true });
      writeFileSync(join(control, 'go'), '');
      const run = await ended('diverges');
      expect(run).toMatchObject({
        ...stoppedBy('SIGTERM', SAID.diverges),
        findings: [{ monitor: 'divergence', metric: 'loss', action: 'stop', message: SAID.diverges }],
      });
      expect(project.supervisorPid()).not.toBe(pid);
    });

    it('that logs NaN is stopped with metric, step and value, and not started anew', async () => {
      expect(await ended('nan')).toMatchObject({
        ...stoppedBy('SIGTERM', SAID.nan),
        findings: [{ monitor: 'non_finite', metric: 'loss', action: 'stop', message: SAID.nan }],
      });
    });

    it('that stalls and hears no TERM is killed with everything it runs', async () => {
      expect(await ended('stalls')).toMatchObject({
        ...stoppedBy('SIGKILL', SAID.stalls),
        findings: [{ monitor: 'stall', action: 'stop', message: SAID.stalls }],
      });
      const runId = ids['stalls'] ?? '';
      expect(await findProcesses(runId)).toEqual([]);
      if (backend === 'docker') expect(await containersOf({ runId })).toEqual([]);
    });

    it('that only warns goes on, and is told by wait, status, list_runs and inspect_run, with what to call', async () => {
      const runId = ids['warns'] ?? '';
      const found = async () => ((await inspect('warns'))['findings'] ?? []) as Answer[];
      await until(async () => (await found()).length === 2, 90_000, 'both warnings');
      const told = (await found()).map(({ monitor, action, message }) => [monitor, action, message]);
      expect(told.sort()).toEqual([
        ['non_finite', 'warn', INFINITE],
        ['stall', 'warn', SAID.stalls],
      ]);
      const look = { tool: 'inspect_run', arguments: { run_id: runId, include: ['metrics'] } };
      const waited = await client.call('wait', { targets: [runId], until: 'attention', timeout_seconds: 40 });
      const { attention } = waited as { attention: { message: string; call: Answer }[] };
      expect(waited).toMatchObject({ done: true, timed_out: false });
      expect(attention.sort((a, b) => (a.message > b.message ? -1 : 1))).toEqual([
        { message: `warns running, warning: ${INFINITE}`, call: look },
        {
          message: `warns running, warning: ${SAID.stalls}`,
          call: {
            tool: 'cancel',
            arguments: { target: runId, reason: 'It stalled: nothing comes from it any more' },
          },
        },
      ]);
      const again = { targets: [runId], until: 'attention', timeout_seconds: 1, cursor: waited['cursor'] };
      expect(await client.call('wait', again)).toMatchObject({ timed_out: true, changes: [] });
      const status = (await client.call('status')) as { attention: { message: string; call: Answer }[] };
      expect(status.attention).toContainEqual({
        message: `exp: warns running, warning: ${INFINITE}`,
        call: look,
      });
      const listed = (await client.call('list_runs', { pipeline_run_id: pipelineRun })) as {
        runs: { stage: string; findings?: number }[];
      };
      const counts = Object.fromEntries(listed.runs.map(({ stage, findings = 0 }) => [stage, findings]));
      expect(counts).toEqual({ nan: 1, diverges: 1, stalls: 1, warns: 2 });

      // What it was told to call ends it.
      const stalled = attention[1]?.call ?? {};
      await client.call(String(stalled['tool']), stalled['arguments'] as Answer);
      await waitOver(client, runId);
      expect(await inspect('warns')).toMatchObject({
        state: 'canceled',
        cause: 'user',
        exit_code: null,
        signal: 'SIGTERM',
        message: 'Canceled: It stalled: nothing comes from it any more',
        failure: null,
      });
      expect(await client.call('logs', { run_id: runId })).toMatchObject({
        lines: [{ stream: 'stdout', text: 'begun' }],
        complete: true,
      });
    });
  });
}
