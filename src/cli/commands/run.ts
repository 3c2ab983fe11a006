import type { Cli } from '../cli.ts';
import { readInputs, readOverride } from '../config-override.ts';
import type { Exit } from '../exit-codes.ts';
import { type Followed, followRuns, noteEnd, noteNext } from '../follow.ts';
import { isTrue, type Row, rowsAt, stateAt, textAt } from '../render/fields.ts';
import { runLine } from '../render/run-line.ts';
import { stateStyle } from '../render/style.ts';
import { type AddCommand, collect, given, parseNumber } from './command.ts';

type Options = {
  reason: string;
  stage?: string[];
  pipeline?: string;
  set?: string[];
  input?: string[];
  group?: string;
  profile?: string;
  backend?: string;
  dryRun?: true;
  /** False for `--no-cache`. */
  cache: boolean;
  maxRestarts?: number;
  wait?: true;
  printId?: true;
  verbose?: true;
};

export const addRun: AddCommand = (program, perform) => {
  program
    .command('run')
    .description('version a workspace and run its pipeline')
    .argument('<workspace>', 'the workspace, or the slot it is in')
    .requiredOption('--reason <text>', 'why, for the audit (at least 15 characters)')
    .option('--stage <name>', 'only this stage; may be given several times', collect)
    .option('--pipeline <name>', 'pipelines/<name>.yaml; default: pipeline.yaml')
    .option(
      '--set <stage.key=value>',
      'override a config value (YAML or JSON); may be given several times',
      collect,
    )
    .option(
      '--input <stage.input=source>',
      'read this instead: a run, a source (name@v2) or a path; may be given several times',
      collect,
    )
    .option('--profile <name>', 'amount of compute for all stages')
    .option('--backend <name>', 'what runs all stages')
    .option('--group <name>', 'a label for runs that belong together')
    .option('--dry-run', 'only say what would run, and why')
    .option('--no-cache', 'reuse nothing')
    .option('--max-restarts <n>', 'start a run anew so often after a crash or loss', parseNumber)
    .option('--wait', 'until it is over; fails when it did not complete')
    .option('--print-id', 'print the id of the pipeline run alone')
    .option('--verbose', 'list its runs')
    .action((workspace: string, options: Options) => perform((cli) => run(cli, workspace, options)));
};

async function run(cli: Cli, workspace: string, options: Options): Promise<Exit> {
  const override = options.set === undefined ? undefined : await readOverride(options.set);
  const answer = await cli.call('run', {
    workspace,
    reason: options.reason,
    ...given({
      stages: options.stage,
      pipeline: options.pipeline,
      config_override: override,
      inputs_override: options.input === undefined ? undefined : readInputs(options.input),
      profile: options.profile,
      backend: options.backend,
      group: options.group,
      dry_run: options.dryRun,
      use_cache: options.cache ? undefined : false,
      max_restarts: options.maxRestarts,
    }),
  });
  if (options.dryRun) return showPlan(cli, answer);
  if (!options.wait) return showSubmitted(cli, answer, options);
  return waitFor(cli, answer, options);
}

function showSubmitted(cli: Cli, answer: Row, options: Options): Exit {
  cli.show(answer, () => {
    if (isIdWanted(cli, options)) return cli.print(textAt(answer, 'pipeline_run_id'));
    cli.print(runLine(answer, { state: textAt(answer, 'state'), runs: rowsAt(answer, 'runs') }, cli));
    if (options.verbose) showRuns(cli, rowsAt(answer, 'runs'));
    noteSubmission(cli, answer);
    noteNext(cli, answer);
  });
  return 'ok';
}

async function waitFor(cli: Cli, answer: Row, options: Options): Promise<Exit> {
  const id = textAt(answer, 'pipeline_run_id');
  // The id is out before the wait, so that it is known however the wait ends.
  if (isIdWanted(cli, options) && !cli.options.json) cli.print(id);
  else
    cli.note(
      `${id} of ${textAt(answer, 'workspace')}@${textAt(answer, 'version')} is ${textAt(answer, 'state')}`,
    );
  noteSubmission(cli, answer);
  const followed = await followRuns(cli, { targets: [id], until: 'all' });
  const { runs } = await cli.call('list_runs', { pipeline_run_id: id, limit: 100 });
  await showEnd(cli, { answer, followed, runs: rowsAt({ runs }, 'runs').reverse() }, options);
  return followed.exit;
}

type End = { answer: Row; followed: Followed; runs: Row[] };

async function showEnd(cli: Cli, { answer, followed, runs }: End, options: Options): Promise<void> {
  const state = textAt(rowsAt(followed.answer, 'targets')[0] ?? {}, 'state');
  cli.show({ ...answer, state, runs, wait: followed.answer }, () => {
    if (isIdWanted(cli, options)) return;
    cli.print(runLine(answer, { state, runs }, cli));
    if (options.verbose) showRuns(cli, runs);
  });
  noteEnd(cli, followed, [textAt(answer, 'pipeline_run_id')]);
}

function isIdWanted(cli: Cli, options: Options): boolean {
  return options.printId === true || cli.options.quiet === true;
}

function noteSubmission(cli: Cli, answer: Row): void {
  if (isTrue(answer, 'deduplicated')) {
    cli.note('The same call was made before: this is its pipeline run, nothing new was started.');
  }
  for (const input of rowsAt(answer, 'earlier_inputs')) {
    const stale = isTrue(input, 'stale') ? ', which is stale' : '';
    const name = `${textAt(input, 'stage')}.${textAt(input, 'input')}`;
    cli.note(`Input ${name} comes from the earlier ${textAt(input, 'run_id')}${stale}.`);
  }
}

function showRuns(cli: Cli, runs: readonly Row[]): void {
  cli.table(
    [
      { title: 'run' },
      { title: 'stage' },
      { title: 'state', style: stateStyle },
      { title: 'why', shrinks: true },
    ],
    runs.map((row) => [textAt(row, 'run_id'), textAt(row, 'stage'), stateAt(row), textAt(row, 'why')]),
  );
}

function showPlan(cli: Cli, answer: Row): Exit {
  cli.show(answer, () => {
    const plan = rowsAt(answer, 'plan');
    cli.table(
      [
        { title: 'stage' },
        { title: 'action', style: (cell) => (cell === 'run' ? 'cyan' : 'green') },
        { title: 'backend' },
        { title: 'why', shrinks: true },
      ],
      plan.map((row) => [
        textAt(row, 'stage'),
        textAt(row, 'action'),
        textAt(row, 'backend'),
        textAt(row, 'why'),
      ]),
    );
    const made = isTrue(answer, 'version_created') ? ', which would be made' : '';
    cli.note(
      `Nothing was started: a dry run on ${textAt(answer, 'workspace')}@${textAt(answer, 'version')}${made}.`,
    );
    noteSubmission(cli, answer);
    noteNext(cli, answer);
  });
  return 'ok';
}
