import { GoldfishError, messageOf } from '../../core/errors.ts';
import { isJsonObject } from '../../core/json.ts';
import type { Cli } from '../cli.ts';
import type { Row } from '../render/fields.ts';
import { readStdin } from '../streams.ts';
import type { AddCommand } from './command.ts';

/** More than any tool accepts. */
const MAX_ARGUMENT_BYTES = 1024 * 1024;

export const addCall: AddCommand = (program, perform) => {
  program
    .command('call')
    .description('call any tool as an agent would; without a tool, list them')
    .argument('[tool]', 'name of the tool')
    .argument('[json]', 'its arguments as a JSON object; "-" reads them from stdin')
    .option('--read-only', 'refuse tools that change something, and write nothing')
    .action((tool: string | undefined, json: string | undefined, options: { readOnly?: boolean }) =>
      perform(async (cli) => {
        if (options.readOnly) cli.onlyRead();
        if (tool === undefined) return listTools(cli);
        const answer = await cli.callForText(tool, await readArguments(json));
        cli.show(answer.structured, () => cli.print(answer.text));
        return undefined;
      }),
    );
};

async function readArguments(json: string | undefined): Promise<Row> {
  if (json === undefined) return {};
  const text = json === '-' ? await readStdin(MAX_ARGUMENT_BYTES) : json;
  const value = parseJson(text);
  if (isJsonObject(value)) return value;
  throw refused('The arguments are no JSON object.');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw refused(`The arguments are no JSON: ${messageOf(error)}.`);
  }
}

function refused(message: string): GoldfishError {
  return new GoldfishError('INVALID_ARGUMENT', {
    message,
    hint: `Write them in single quotes: goldfish call inspect_run '{"run_id": "stage-…"}'.`,
    details: { field: 'json' },
  });
}

async function listTools(cli: Cli): Promise<undefined> {
  const tools = await (await cli.host()).list();
  cli.show({ tools }, () =>
    cli.table(
      [{ title: 'tool' }, { title: 'what it is for', shrinks: true }],
      tools.map((tool) => [tool.name, tool.description]),
    ),
  );
  return undefined;
}
