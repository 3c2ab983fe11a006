import type { Cli } from '../cli.ts';
import { readInputs, readOverride } from '../config-override.ts';
import type { Exit } from '../exit-codes.ts';
import { type Followed, followRuns, noteEnd, noteNext } from '../follow.ts';
import { isTrue, type Row, rowAt, rowsAt, stateAt, textAt, textsAt } from '../render/fields.ts';
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
  replicate?: number;
  idempotencyKey?: string;
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
    .option('--replicate <n>', 'execute all of it so often, each time for itself', parseNumber)
    .option('--idempotency-key <key>', 'yours; sent again under it, the call starts nothing twice')
    .option('--wait', 'until it is over; fails when it did not complete')
    .option('--print-id', 'print the id of the pipeline run alone; of each replicate one')
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
      replicate: options.replicate,
      idempotency_key: options.idempotencyKey,
    }),
  });
  // Of a key that was used a dry run has no plan: what was started then is the answer.
  if (options.dryRun && answer['plan'] !== undefined) return showPlan(cli, answer);
  if (options.dryRun || !options.wait) return showSubmitted(cli, answer, options);
  return waitFor(cli, answer, options);
}

function showSubmitted(cli: Cli, answer: Row, options: Options): Exit {
  cli.show(answer, () => {
    if (isIdWanted(cli, options)) return printIds(cli, answer);
    cli.print(runLine(answer, { state: textAt(answer, 'state'), runs: rowsAt(answer, 'runs') }, cli));
    if (options.verbose) showRuns(cli, rowsAt(answer, 'runs'));
    noteSubmission(cli, answer);
    noteNext(cli, answer);
  });
  return 'ok';
}

async function waitFor(cli: Cli, answer: Row, options: Options): Promise<Exit> {
  const ids = idsOf(answer);
  // The ids are out before the wait, so that they are known however the wait ends.
  if (isIdWanted(cli, options) && !cli.options.json) printIds(cli, answer);
  else
    cli.note(
      `${ids.join(' ')} of ${textAt(answer, 'workspace')}@${textAt(answer, 'version')} is ${textAt(answer, 'state')}`,
    );
  noteSubmission(cli, answer);
  const followed = await followRuns(cli, { targets: ids, until: 'all' });
  const runs: Row[] = [];
  for (const id of ids) {
    const page = await cli.call('list_runs', { pipeline_run_id: id, limit: 100 });
    runs.push(...rowsAt(page, 'runs').reverse());
  }
  await showEnd(cli, { answer, followed, runs }, options);
  return followed.exit;
}

function idsOf(answer: Row): string[] {
  const ids = textsAt(answer, 'pipeline_run_ids');
  return ids.length > 0 ? ids : [textAt(answer, 'pipeline_run_id')];
}

function printIds(cli: Cli, answer: Row): void {
  for (const id of idsOf(answer)) cli.print(id);
}

type End = { answer: Row; followed: Followed; runs: Row[] };

async function showEnd(cli: Cli, { answer, followed, runs }: End, options: Options): Promise<void> {
  const states = rowsAt(followed.answer, 'targets').map((target) => textAt(target, 'state'));
  const state = states.find((one) => one !== 'completed') ?? states[0] ?? '';
  cli.show({ ...answer, state, runs, wait: followed.answer }, () => {
    if (isIdWanted(cli, options)) return;
    cli.print(runLine(answer, { state, runs }, cli));
    if (options.verbose) showRuns(cli, runs);
  });
  noteEnd(cli, followed, idsOf(answer));
}

function isIdWanted(cli: Cli, options: Options): boolean {
  return options.printId === true || cli.options.quiet === true;
}

function noteSubmission(cli: Cli, answer: Row): void {
  if (isTrue(answer, 'deduplicated')) {
    cli.note('The same call was made before: this is its pipeline run, nothing new was started.');
  }
  for (const row of rowsAt(answer, 'similar')) cli.note(similarLine(row));
  for (const input of rowsAt(answer, 'earlier_inputs')) {
    const stale = isTrue(input, 'stale') ? ', which is stale' : '';
    const name = `${textAt(input, 'stage')}.${textAt(input, 'input')}`;
    cli.note(`Input ${name} comes from the earlier ${textAt(input, 'run_id')}${stale}.`);
  }
}

/** `Similar: prun-… of v2, failed (oom); differs in train: config (lr: 0.1 → 0.2)`. */
function similarLine(row: Row): string {
  const differs = textsAt(row, 'differs').join('; ');
  const metric = rowAt(row, 'metric');
  const parts = [
    `Similar: ${textAt(row, 'pipeline_run_id')} of ${textAt(row, 'version')}`,
    stateAt(row),
    ...(metric ? [`${textAt(metric, 'name')} ${textAt(metric, 'value')}`] : []),
  ];
  return `${parts.join(', ')}; ${differs === '' ? 'it was given the same' : `differs in ${differs}`}`;
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
    const replicates = rowsAt(answer, 'replicates');
    if (replicates.length > 0) {
      cli.table(
        [
          { title: 'replicate' },
          { title: 'would run' },
          { title: 'would reuse' },
          { title: 'the same call before' },
        ],
        replicates.map((row) =>
          ['replicate', 'run', 'reuse', 'pipeline_run_id'].map((key) => textAt(row, key)),
        ),
      );
    }
    const made = isTrue(answer, 'version_created') ? ', which would be made' : '';
    cli.note(
      `Nothing was started: a dry run on ${textAt(answer, 'workspace')}@${textAt(answer, 'version')}${made}.`,
    );
    noteSubmission(cli, answer);
    noteNext(cli, answer);
  });
  return 'ok';
}
