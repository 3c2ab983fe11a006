import { Command, CommanderError } from 'commander';
import type { Environment } from '../config/host.ts';
import { GoldfishError, isGoldfishError, messageOf } from '../core/errors.ts';
import { GOLDFISH_VERSION } from '../core/version.ts';
import { type Action, createCli, type GlobalOptions, printJson } from './cli.ts';
import { addBackup } from './commands/backup.ts';
import { addCall } from './commands/call.ts';
import { addCancel } from './commands/cancel.ts';
import type { AddCommand } from './commands/command.ts';
import { addDemo } from './commands/demo.ts';
import { addDoctor } from './commands/doctor.ts';
import { addGc } from './commands/gc.ts';
import { addGet } from './commands/get.ts';
import { addInit } from './commands/init.ts';
import { addLogs } from './commands/logs.ts';
import { addMount } from './commands/mount.ts';
import { addPool } from './commands/pool.ts';
import { addRestore } from './commands/restore.ts';
import { addRun } from './commands/run.ts';
import { addRuns } from './commands/runs.ts';
import { addServe } from './commands/serve.ts';
import { addSources } from './commands/sources.ts';
import { addStatus } from './commands/status.ts';
import { addSupervisor } from './commands/supervisor.ts';
import { addValidate } from './commands/validate.ts';
import {
  addCheckpoint,
  addCompare,
  addDiff,
  addHistory,
  addRetry,
  addRollback,
  addTag,
} from './commands/versions.ts';
import { addWait } from './commands/wait.ts';
import { addWorkspace } from './commands/workspace.ts';
import { EXIT_CODES, type Exit, exitCodeLines, exitOfError } from './exit-codes.ts';
import { renderError } from './render/error.ts';
import { colourStyle, plainStyle, wantsColour } from './render/style.ts';
import { endProcess, processStreams, type Streams } from './streams.ts';

/** In the order `goldfish --help` shows them. */
const COMMANDS: readonly AddCommand[] = [
  addInit,
  addServe,
  addDemo,
  addWorkspace,
  addMount,
  addCheckpoint,
  addDiff,
  addRollback,
  addTag,
  addRun,
  addStatus,
  addRuns,
  addLogs,
  addWait,
  addCancel,
  addRetry,
  addCompare,
  addHistory,
  addSources,
  addGet,
  addPool,
  addGc,
  addBackup,
  addRestore,
  addValidate,
  addDoctor,
  addCall,
  addSupervisor,
];

/** Runs one command and ends the process with its exit code. */
export async function runCommandLine(argv: readonly string[], environment: Environment): Promise<void> {
  const surroundings = { streams: processStreams(), environment, cwd: process.cwd() };
  endProcess(await execute(argv, surroundings));
}

export type Surroundings = { streams: Streams; environment: Environment; cwd: string };

/** Runs one command and resolves to its exit code; never throws. */
export async function execute(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  const { streams } = surroundings;
  let exit: Exit = 'ok';
  const program = buildProgram(streams, async (action) => {
    exit = await perform(action, program.opts<GlobalOptions>(), surroundings);
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT_CODES.ok.code;
    // Nothing was asked for, and the help is out.
    if (error instanceof CommanderError && error.code === 'commander.help') return EXIT_CODES.usage.code;
    // What was typed was not understood, so neither may the options be; look for them as typed.
    const options = { progress: true, color: !argv.includes('--no-color'), json: argv.includes('--json') };
    exit = fail(usageError(error, argv, program), options, surroundings);
  }
  return EXIT_CODES[exit].code;
}

async function perform(action: Action, options: GlobalOptions, surroundings: Surroundings): Promise<Exit> {
  const cli = createCli({ options, ...surroundings });
  try {
    return (await action(cli)) ?? 'ok';
  } catch (error) {
    return fail(error, options, surroundings);
  } finally {
    await cli.close();
  }
}

/** The one place where an error becomes words and an exit code. */
function fail(thrown: unknown, options: GlobalOptions, { streams, environment }: Surroundings): Exit {
  const error = isGoldfishError(thrown) ? thrown : unexpected(thrown);
  if (options.json) {
    const { code, message, details, hint, fix } = error;
    printJson(streams, {
      error: { code, message, details, ...(hint ? { hint } : {}), ...(fix ? { fix } : {}) },
    });
  } else {
    const colour = wantsColour({ option: options.color, environment, isTerminal: streams.err.isTerminal });
    const style = colour ? colourStyle : plainStyle;
    streams.err.write(renderError(error, { style, project: options.project }));
  }
  return exitOfError(error.code);
}

function unexpected(thrown: unknown): GoldfishError {
  return new GoldfishError('INTERNAL', {
    message: `Something inside Goldfish failed: ${messageOf(thrown)}`,
    hint: 'Repeat the command once; if it fails again, report it with what you did.',
    cause: thrown,
  });
}

function usageError(error: unknown, argv: readonly string[], program: Command): unknown {
  if (!(error instanceof CommanderError)) return error;
  const typed = argv.find((word) => program.commands.some((command) => command.name() === word));
  return new GoldfishError('INVALID_ARGUMENT', {
    message: sentence(error.message),
    hint: `goldfish${typed === undefined ? '' : ` ${typed}`} --help shows what is understood.`,
  });
}

/** `error: unknown command 'rnu'\n(Did you mean run?)` as one sentence. */
function sentence(text: string): string {
  const words = text
    .replace(/^error: /, '')
    .replaceAll(/\s+/g, ' ')
    .trim();
  const capital = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.?!)]$/.test(capital) ? capital : `${capital}.`;
}

function buildProgram(streams: Streams, perform: (action: Action) => Promise<void>): Command {
  const program = new Command('goldfish')
    .description('Runs experiments and jobs without losing anything.')
    .version(GOLDFISH_VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => streams.out.write(text),
      // Refusals are rendered in one place, `fail`; what else is written there is help.
      writeErr: (text) => streams.err.write(text),
      outputError: () => undefined,
      getOutHelpWidth: () => streams.out.columns() ?? 100,
      getOutHasColors: () => false,
    })
    .option(
      '--project <dir>',
      'the project; default: GOLDFISH_PROJECT, else the nearest goldfish.yaml upward',
    )
    .option('--json', 'one JSON document on stdout: the answer as tools give it')
    .option('--quiet', 'no confirmations, progress or hints')
    .option('--no-progress', 'no progress lines')
    .option('--no-color', 'no colour; NO_COLOR and FORCE_COLOR are honoured too')
    .addHelpText('after', `\nExit codes:\n${exitCodeLines()}\n`);
  for (const add of COMMANDS) add(program, perform);
  return program;
}
