import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestProject, mountStages, type TestProject, waitOver } from '../support/project.ts';

const PIPELINE = `name: failing
stages:
  - name: breaks
    outputs: { made: json }
  - name: after
    inputs: { made: { from_stage: breaks, signal: made } }
    outputs: { made: json }
  - name: last
    inputs: { made: { from_stage: after, signal: made } }
  - name: neighbour
    outputs: { made: json }
`;

const BREAKS = `
import sys
print('starting up')
print('a warning of no weight', file=sys.stderr)

def work():
    raise ValueError('the third column is not a number')

try:
    work()
except ValueError:
    import traceback
    traceback.print_exc()
    sys.exit(3)
`;

describe('a failing stage', () => {
  let project: TestProject;
  beforeEach(() => {
    project = createTestProject();
  });
  afterEach(() => project.dispose());

  it('names its cause, code, first error line and log tail; its downstream is canceled and its neighbour completes', async () => {
    const { client, workspace } = await mountStages(project, {
      pipeline: PIPELINE,
      modules: {
        breaks: BREAKS,
        after: 'raise SystemExit("must not run")\n',
        last: 'raise SystemExit("must not run")\n',
        neighbour: 'import goldfish\ngoldfish.save_output("made", {"ok": True})\n',
      },
    });
    const submitted = await client.call('run', { workspace, reason: 'See how a failure is told' });
    const id = String(submitted['pipeline_run_id']);
    await waitOver(client, id);

    const listed = await client.call('list_runs', { pipeline_run_id: id });
    const rows = listed['runs'] as { run_id: string; stage: string; state: string; cause: string }[];
    const byStage = Object.fromEntries(rows.map((row) => [row.stage, [row.state, row.cause]]));
    expect(byStage).toEqual({
      breaks: ['failed', 'exit_nonzero'],
      after: ['canceled', 'upstream_failed'],
      last: ['canceled', 'upstream_failed'],
      neighbour: ['completed', 'success'],
    });

    const failed = rows.find((row) => row.stage === 'breaks')!;
    const details = await client.call('inspect_run', { run_id: failed.run_id });
    expect(details['exit_code']).toBe(3);
    const failure = details['failure'] as Record<string, unknown>;
    expect(failure['class']).toBe('code');
    expect(failure['first_error_line']).toBe('ValueError: the third column is not a number');
    expect(failure['log_tail']).toContain("    raise ValueError('the third column is not a number')");

    const at = await client.call('logs', { run_id: failed.run_id, cursor: failure['log_cursor'] });
    const [line] = at['lines'] as { text: string }[];
    expect(line!.text).toBe('ValueError: the third column is not a number');
  });
});
