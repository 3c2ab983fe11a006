import { type Command, Option } from 'commander';
import type { Action, Cli, ToolReply } from '../cli.ts';
import { noteNext } from '../follow.ts';
import { collect, parseNumber } from './command.ts';

/** How an option becomes an argument of the tool. `not`: the switch `--no-x` sends false. */
type OptionSpec = {
  /** As commander reads it: `--limit <n>`. */
  flags: string;
  description: string;
  /** The tool's argument. */
  key: string;
  kind?: 'text' | 'number' | 'list' | 'switch' | 'not';
  required?: true;
};

type ToolCommandSpec = {
  name: string;
  description: string;
  tool: string;
  /** In their order: `<name>`, `[name]` or `<name...>` and the tool's argument. */
  positional?: readonly { word: string; description: string; key: string }[];
  options?: readonly OptionSpec[];
  /** While the answer has this field the work goes on, and the same call again joins it. */
  again?: string;
  /** Absent: the tool's own text. */
  show?: (cli: Cli, reply: ToolReply) => void;
};

export const REASON: OptionSpec = {
  flags: '--reason <text>',
  description: 'why, for the audit (at least 15 characters)',
  key: 'reason',
  required: true,
};

export const PAGE: readonly OptionSpec[] = [
  {
    flags: '--limit <n>',
    description: 'at most this many (default 20, at most 100)',
    key: 'limit',
    kind: 'number',
  },
  { flags: '--cursor <cursor>', description: 'the next page, as the last one named it', key: 'cursor' },
];

/** A command that is one call of a tool: what is typed becomes its arguments, its text is what is shown. */
export function addToolCommand(
  parent: Command,
  perform: (action: Action) => Promise<void>,
  spec: ToolCommandSpec,
): void {
  const command = parent.command(spec.name).description(spec.description);
  const { positional = [], options = [] } = spec;
  for (const { word, description } of positional) command.argument(word, description);
  for (const option of options) command.addOption(toOption(option));
  command.action((...words: unknown[]) =>
    perform(async (cli) => {
      const typed = words.slice(0, positional.length);
      const args = argumentsOf({ positional, options, typed, chosen: command.opts() });
      let reply = await cli.callForText(spec.tool, args);
      // It goes on in this process only, so this process waits for it.
      while (spec.again !== undefined && reply.structured[spec.again] !== undefined) {
        cli.note(reply.text.split('\n')[0] ?? '');
        reply = await cli.callForText(spec.tool, args);
      }
      cli.show(reply.structured, () => (spec.show ?? showText)(cli, reply));
      return undefined;
    }),
  );
}

function toOption(spec: OptionSpec): Option {
  const option = new Option(spec.flags, spec.description);
  if (spec.required) option.makeOptionMandatory();
  if (spec.kind === 'number') option.argParser(parseNumber);
  if (spec.kind === 'list') option.argParser(collect);
  return option;
}

function argumentsOf(parts: {
  positional: readonly { key: string }[];
  options: readonly OptionSpec[];
  typed: readonly unknown[];
  chosen: Record<string, unknown>;
}): Record<string, unknown> {
  const args: Record<string, unknown> = {};
  for (const [index, { key }] of parts.positional.entries()) {
    const word = parts.typed[index];
    // A variadic argument that was not given is an empty list.
    if (word !== undefined && !(Array.isArray(word) && word.length === 0)) args[key] = word;
  }
  for (const spec of parts.options) {
    const value = parts.chosen[new Option(spec.flags).attributeName()];
    if (spec.kind === 'not') {
      if (value === false) args[spec.key] = false;
    } else if (value !== undefined) args[spec.key] = value;
  }
  return args;
}

/** The tool's own text; what to call next is said on the side, as a command. */
function showText(cli: Cli, { text, structured }: ToolReply): void {
  const lines = text.split('\n').filter((line) => !line.startsWith('next: '));
  cli.print(lines.join('\n').trimEnd());
  noteNext(cli, structured);
}
