import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestProject, type TestProject, until, writeStages } from '../support/project.ts';
import { endPrograms, goldfish, startGoldfish } from './cli-program.ts';
import { endSupervisor } from './mcp-work.ts';

const REASON = ['--reason', 'a test of the command line'];

let project: TestProject;
const at = () => ({ cwd: project.root });

beforeEach(() => {
  // Stages look at a file outside the project, which the sandbox would hide.
  project = createTestProject({ config: 'process: { sandbox: none }\n' });
});
afterEach(async () => {
  endPrograms();
  await project.dispose();
});

async function mounted(stages: Parameters<typeof writeStages>[2]): Promise<void> {
  const made = await goldfish(['workspace', 'create', 'exp', '--goal', 'see it work', ...REASON], at());
  expect(made).toMatchObject({ code: 0, out: 'Workspace exp is created at v1.\n' });
  const mount = await goldfish(['mount', 'exp', ...REASON], at());
  expect(mount).toMatchObject({ code: 0, out: 'workspaces/w1\n' });
  // The template's own stages make room.
  rmSync(join(project.root, 'workspaces/w1/configs'), { recursive: true });
  writeStages(project, 'workspaces/w1', stages);
}

const TWO_STAGES = {
  pipeline: `name: two
stages:
  - name: make
    outputs: { numbers: csv }
  - name: sum
    inputs: { numbers: { from_stage: make, signal: numbers } }
    outputs: { total: json }
`,
  modules: {
    make: `import goldfish
for i in range(500):
    print("made", i)
goldfish.save_output("numbers", [{"i": i} for i in range(goldfish.config()["count"])])
`,
    sum: `import goldfish
rows = goldfish.load_input("numbers")
print("summing")
goldfish.log_metric("rows", len(rows))
goldfish.save_output("total", {"rows": len(rows)})
`,
  },
  configs: { make: 'count: 3\n', sum: '{}\n' },
};

/** Goes on until a file appears outside of the project; says line by line that it does. */
const waiting = (gate: string): Parameters<typeof writeStages>[2] => ({
  pipeline: 'name: wait\nstages:\n  - name: hold\n    outputs: { done: json }\n',
  modules: {
    hold: `import os, time, goldfish
print("begun", flush=True)
while not os.path.exists(${JSON.stringify(gate)}):
    time.sleep(0.02)
print("let go", flush=True)
goldfish.save_output("done", {})
`,
  },
  configs: { hold: '{}\n' },
});

describe('the main job from the command line', () => {
  it('is run, watched, listed, read and run again', async () => {
    await mounted(TWO_STAGES);
    const plan = await goldfish(['run', 'exp', ...REASON, '--dry-run'], at());
    expect(plan.code).toBe(0);
    expect(plan.out).toMatch(/^STAGE +ACTION +BACKEND +WHY\nmake +run +process .*\nsum +run +process .*\n$/);

    const run = await goldfish(['run', 'exp', ...REASON, '--wait'], at());
    expect(run.err).toMatch(/100 %|make completed/);
    expect(run.out).toMatch(/^prun-[0-9a-f]{12} of exp@v2: completed, 2 runs, [0-9.]+ s\n$/);
    expect(run.code).toBe(0);
    const id = run.out.split(' ')[0] ?? '';

    const again = await goldfish(['run', 'exp', ...REASON, '--print-id'], at());
    expect(again).toMatchObject({ code: 0, out: `${id}\n` });
    const changed = await goldfish(
      ['run', 'exp', ...REASON, '--set', 'make.count=7', '--wait', '--quiet'],
      at(),
    );
    expect(changed.out).toMatch(/^prun-[0-9a-f]{12}\n$/);
    expect(changed).toMatchObject({ code: 0, err: '' });

    const runs = await goldfish(['runs', '--pipeline-run', id], at());
    expect(runs.out).toMatch(/^RUN +STAGE +STATE +VERSION +TOOK +AGE +PIPELINE RUN +METRIC\n/);
    expect(runs.out).toMatch(/\nstage-[0-9a-f]{12} +make +completed +exp@v2 +/);
    const listed = JSON.parse((await goldfish(['runs', '--json', '--stage', 'sum'], at())).out);
    expect(listed.runs.map((row: { metric: unknown }) => row.metric)).toEqual([
      { name: 'rows', value: 7 },
      { name: 'rows', value: 3 },
    ]);

    const make = JSON.parse(
      (await goldfish(['runs', '--json', '--pipeline-run', id, '--stage', 'make'], at())).out,
    );
    const runId: string = make.runs[0].run_id;
    const all = Array.from({ length: 500 }, (_, i) => `made ${i}`);
    expect((await goldfish(['logs', runId], at())).out).toBe(`${all.join('\n')}\n`);
    expect((await goldfish(['logs', runId, '--follow'], at())).out).toBe(`${all.join('\n')}\n`);
    expect((await goldfish(['logs', runId, '--tail', '450'], at())).out).toBe(
      `${all.slice(-450).join('\n')}\n`,
    );
    expect((await goldfish(['logs', runId, '--grep', 'made 499'], at())).out).toBe('made 499\n');

    expect(await goldfish(['wait', id], at())).toEqual({
      code: 0,
      signal: null,
      out: `${id} completed\n`,
      err: expect.any(String),
    });
    const status = await goldfish(['status'], at());
    expect(status.out).toMatch(/^test: 1 workspace, 2 versions, 4 runs, 0 active\n/);
    expect(status.out).toMatch(/\nworkspaces\/w1 +exp +v2 /);
  });

  it('fails with 1 when a stage fails, and names the command that shows why', async () => {
    await mounted({
      ...TWO_STAGES,
      modules: { ...TWO_STAGES.modules, make: 'raise ValueError("no numbers today")\n' },
    });
    const run = await goldfish(['run', 'exp', ...REASON, '--wait', '--no-progress'], at());
    expect(run.out).toMatch(/^prun-[0-9a-f]{12} of exp@v2: failed, 2 runs, /);
    expect(run.err).toMatch(/make failed \(exit_nonzero\)/);
    expect(run.err).toMatch(/\n {2}try: goldfish call inspect_run '\{"run_id":"stage-[0-9a-f]{12}"\}'\n/);
    expect(run.err).not.toMatch(/%/);
    expect(run.code).toBe(1);
    const id = run.out.split(' ')[0] ?? '';
    expect(await goldfish(['wait', id, '--quiet'], at())).toEqual({
      code: 1,
      signal: null,
      out: '',
      err: '',
    });
  });

  it('is refused with 4 and every problem where the pipeline is wrong; validate shows the same lines with 1', async () => {
    await mounted({
      ...TWO_STAGES,
      pipeline: 'name: two\nstages:\n  - name: make\n    inptus: {}\n  - name: nobody\n',
    });
    const run = await goldfish(['run', 'exp', ...REASON], at());
    expect(run).toMatchObject({ code: 4, out: '' });
    expect(run.err).toContain('[INVALID_PIPELINE]');
    const validate = await goldfish(['validate', 'exp', '--quiet'], at());
    expect(validate.code).toBe(1);
    const lines = validate.out.trimEnd().split('\n');
    expect(lines.length).toBeGreaterThan(1);
    for (const line of lines) expect(line).toMatch(/^workspaces\/w1\/[\w./]+(:\d+:\d+)?: \S/);
    expect(validate.out).toMatch(/^workspaces\/w1\/pipeline\.yaml:4:5: .*inptus/m);
  });
});

describe('watching', () => {
  it('ends with the time given, with Ctrl-C, or with the work, and never ends the work', async () => {
    const gate = `${project.outside}/gate`;
    await mounted(waiting(gate));
    const id = (await goldfish(['run', 'exp', ...REASON, '--print-id'], at())).out.trim();

    const timed = await goldfish(['wait', id, '--timeout', '0.3'], at());
    expect(timed.code).toBe(124);
    expect(timed.err).toContain(`Wait again: goldfish wait ${id}\n`);

    const follower = startGoldfish(['wait', id], at());
    await until(() => follower.err().includes('hold running'));
    follower.child.kill('SIGINT');
    const interrupted = await follower.ended;
    expect(interrupted).toMatchObject({ code: 130, signal: null });
    expect(interrupted.err).toContain(
      `Stopped watching; the work goes on. Watch again: goldfish wait ${id}\n`,
    );

    const run = JSON.parse((await goldfish(['runs', '--json'], at())).out).runs[0];
    expect(run.state).toBe('running');
    const reader = startGoldfish(['logs', run.run_id, '-f'], at());
    const other = startGoldfish(['logs', run.run_id, '-f'], at());
    const screen = startGoldfish(['runs', '--watch'], at());
    await until(() => reader.out() === 'begun\n' && other.out() === 'begun\n' && screen.out() !== '');
    other.child.kill('SIGINT');
    const left = await other.ended;
    expect(left.code).toBe(130);
    expect(left.err).toMatch(/Read on: goldfish logs stage-[0-9a-f]{12} --cursor \S+ --follow\n$/);

    project.write('../outside/gate', '');
    expect(await reader.ended).toMatchObject({ code: 0, out: 'begun\nlet go\n' });
    await until(() => screen.out().includes('completed'));
    screen.child.kill('SIGINT');
    expect((await screen.ended).code).toBe(130);
    expect(screen.out().split('RUN  ').length).toBeGreaterThan(2);
    expect((await goldfish(['wait', id], at())).code).toBe(0);
  });

  it('sees a cancel: what was canceled did not complete', async () => {
    await mounted(waiting(`${project.outside}/never`));
    const watcher = startGoldfish(['run', 'exp', ...REASON, '--wait', '--print-id'], at());
    await until(() => watcher.err().includes('hold running'));
    const id = watcher.out().trim();
    const cancel = await goldfish(['cancel', id, ...REASON], at());
    expect(cancel.code).toBe(0);
    expect(cancel.out).toMatch(/^RUN +STAGE +STATE +OUTCOME\nstage-[0-9a-f]{12} +hold +\w+ +stopping\n$/);
    const ended = await watcher.ended;
    expect(ended).toMatchObject({ code: 1, out: `${id}\n` });
    expect((await goldfish(['runs', '--state', 'canceled'], at())).out).toContain('canceled (user)');
  });
});

describe('the supervisor in the foreground', () => {
  it('tells what it does, keeps a second one out, and leaves the work when it is stopped', async () => {
    const gate = `${project.outside}/gate`;
    await mounted(waiting(gate));
    const run = await goldfish(['run', 'exp', ...REASON, '--print-id'], at());
    const id = run.out.trim();
    // There is work, so this one stays, however slow the machine is.
    await until(() => project.supervisorPid() !== null);
    await endSupervisor(project.root);
    const first = startGoldfish(['supervisor'], at());
    await until(() => first.err().includes('supervisor started'));
    const [status, second] = await Promise.all([
      goldfish(['supervisor', '--status'], at()),
      goldfish(['supervisor'], at()),
    ]);
    expect(status.out).toMatch(
      /^A supervisor is at work for \d+ s \(process \d+, version [\d.]+\); 1 open run\.\n$/,
    );
    expect(project.supervisorPid()).toBe(first.child.pid);
    expect(second).toMatchObject({ code: 4, out: '' });
    await until(
      () => project.rows<{ state: string }>('SELECT state FROM stage_runs')[0]?.state === 'running',
    );
    first.child.kill('SIGINT');
    expect((await first.ended).code).toBe(130);
    project.write('../outside/gate', '');
    expect((await goldfish(['wait', id], at())).code).toBe(0);
  });
});
