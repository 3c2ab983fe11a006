import { userInfo } from 'node:os';
import { resolve } from 'node:path';
import { findProject } from '../config/find-project.ts';
import type { Environment } from '../config/host.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import { ERROR_CODES, type ErrorCode, GoldfishError, type ToolCall } from '../core/errors.ts';
import { isJsonObject } from '../core/json.ts';
import type { ToolHost } from '../tools/host.ts';
import type { Exit } from './exit-codes.ts';
import { asCommand } from './render/as-command.ts';
import type { Row } from './render/fields.ts';
import { colourStyle, plainStyle, type Style, wantsColour } from './render/style.ts';
import { type Cell, type Column, renderTable } from './render/table.ts';
import { terminalJson, terminalText } from './render/terminal-text.ts';
import type { Streams } from './streams.ts';

/** Options every command takes. */
export type GlobalOptions = {
  project?: string;
  json?: boolean;
  quiet?: boolean;
  /** False for `--no-progress`. */
  progress: boolean;
  /** False for `--no-color`. */
  color: boolean;
};

export type CallOptions = {
  signal?: AbortSignal;
  progress?: (fraction: number, message: string) => void;
};

export type ToolReply = { text: string; structured: Row };

/** What a command has in its hands: the tools, and ways to show what they answer. */
export type Cli = {
  options: GlobalOptions;
  streams: Streams;
  /** Where the command was typed; relative paths are meant from here. */
  cwd: string;
  clock: Clock;
  /** Colours for stdout, and for stderr. */
  style: Style;
  errStyle: Style;
  /** Calls a tool as the server would. Throws the tool's refusal as GoldfishError. */
  call(tool: string, args: Row, options?: CallOptions): Promise<Row>;
  /** The same with the text block, which is there for tools without a rendering of their own. */
  callForText(tool: string, args: Row): Promise<ToolReply>;
  host(): Promise<ToolHost>;
  /** From now on tools that change something are refused; to be said before the first call. */
  onlyRead(): void;
  /** The folder of the project. Errors: PROJECT_NOT_FOUND. */
  projectRoot(): Promise<string>;
  /** A line of the result, on stdout. */
  print(text: string): void;
  /** The answer as a whole: the one JSON document with `--json`, else what `render` makes of it. */
  show(answer: Row, render: () => void): void;
  table(columns: readonly Column[], rows: readonly (readonly Cell[])[]): void;
  /** A word on the side (what to do next), on stderr; not with `--quiet` or `--json`. */
  note(text: string): void;
  /** What was done, on stdout; not with `--quiet`. */
  confirm(text: string): void;
  /** A tool call as a command line. */
  command(call: { tool: string; arguments: Row }): string;
  close(): Promise<void>;
};

/** What an action may answer; nothing means `ok`. */
export type Action = (cli: Cli) => Promise<Exit | undefined>;

export function createCli(parts: {
  options: GlobalOptions;
  streams: Streams;
  environment: Environment;
  cwd: string;
  clock?: Clock;
}): Cli {
  const { options, streams, environment, cwd, clock = systemClock } = parts;
  const styleFor = (isTerminal: boolean): Style =>
    wantsColour({ option: options.color, environment, isTerminal }) ? colourStyle : plainStyle;
  const style = styleFor(streams.out.isTerminal);
  const isQuiet = options.quiet === true;
  const tools = lazyTools({ options, environment, cwd });
  const print = (text: string): void => {
    const colour = style === colourStyle;
    streams.out.write(`${streams.out.isTerminal ? terminalText(text, { colour }) : text}\n`);
  };
  const call = async (tool: string, args: Row, callOptions: CallOptions = {}): Promise<ToolReply> => {
    const host = await tools.host();
    const result = await host.call(
      { name: tool, arguments: args },
      {
        signal: callOptions.signal ?? new AbortController().signal,
        progress: callOptions.progress ?? (() => undefined),
        actor: `cli:${userName()}`,
      },
    );
    if (result.isError) throw refusalOf(result.structuredContent);
    return {
      text: result.content.map((block) => block.text).join('\n'),
      structured: result.structuredContent,
    };
  };
  return {
    options,
    streams,
    cwd,
    clock,
    style,
    errStyle: styleFor(streams.err.isTerminal),
    call: async (tool, args, callOptions) => (await call(tool, args, callOptions)).structured,
    callForText: call,
    host: tools.host,
    onlyRead: tools.onlyRead,
    projectRoot: tools.projectRoot,
    print,
    show: (answer, render) => (options.json ? printJson(streams, answer) : render()),
    table: (columns, rows) => print(renderTable(columns, rows, { style, width: streams.out.columns() })),
    note: (text) => {
      if (!isQuiet && !options.json) streams.err.write(`${terminalText(text, { colour: false })}\n`);
    },
    confirm: (text) => {
      if (!isQuiet) print(text);
    },
    command: (next) => asCommand(next, { project: options.project }),
    close: tools.close,
  };
}

/** One document for people on a terminal, one line for a program. */
export function printJson(streams: Streams, value: unknown): void {
  const { out } = streams;
  out.write(`${out.isTerminal ? terminalJson(JSON.stringify(value, null, 2)) : JSON.stringify(value)}\n`);
}

/** The tools, with everything behind them, are imported by the first call: `--help` does without. */
function lazyTools(parts: { options: GlobalOptions; environment: Environment; cwd: string }) {
  const { options, environment, cwd } = parts;
  const named = options.project ?? (environment['GOLDFISH_PROJECT'] || undefined);
  const startFolder = resolve(cwd, named ?? '.');
  let opening: Promise<ToolHost> | undefined;
  let readOnly: 'always' | 'never' = 'never';
  const host = (): Promise<ToolHost> => {
    opening ??= import('../tools/host.ts').then(({ createToolHost }) =>
      createToolHost({
        startFolder,
        named: named !== undefined,
        toolsets: ['all'],
        readOnly,
      }),
    );
    return opening;
  };
  return {
    host,
    onlyRead: (): void => {
      readOnly = 'always';
    },
    projectRoot: async (): Promise<string> => {
      const root = await findProject({
        start: startFolder,
        ...(named === undefined ? {} : { project: startFolder }),
      });
      if (root !== undefined) return root;
      throw new GoldfishError('PROJECT_NOT_FOUND', {
        message: 'There is no project in this folder or above it.',
        hint: 'Make one here, or name its folder with --project.',
        fix: { tool: 'initialize_project', arguments: { name: 'my-project' } },
      });
    },
    close: async (): Promise<void> => {
      const opened = await opening?.catch(() => undefined);
      await opened?.close();
    },
  };
}

function userName(): string {
  try {
    return userInfo()
      .username.replaceAll(/[^\w.@-]/g, '?')
      .slice(0, 64);
  } catch {
    // A user id without an entry in the system's list, as in many containers.
    return `${process.getuid?.() ?? 'unknown'}`;
  }
}

function refusalOf(structured: Row): GoldfishError {
  const error = isJsonObject(structured['error']) ? structured['error'] : {};
  const { code, message, hint, details, fix } = error;
  return new GoldfishError(isErrorCode(code) ? code : 'INTERNAL', {
    message: typeof message === 'string' ? message : 'The tool failed without a word.',
    ...(typeof hint === 'string' ? { hint } : {}),
    ...(isJsonObject(details) ? { details } : {}),
    ...(isToolCall(fix) ? { fix } : {}),
    retryable: error['retryable'] === true,
  });
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERROR_CODES, code);
}

function isToolCall(fix: unknown): fix is ToolCall {
  return isJsonObject(fix) && typeof fix['tool'] === 'string' && isJsonObject(fix['arguments']);
}
