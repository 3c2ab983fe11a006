import { isGoldfishError } from '../../core/errors.ts';
import type { Cli } from '../cli.ts';
import type { Exit } from '../exit-codes.ts';
import { noteNext } from '../follow.ts';
import { problemLine } from '../render/error.ts';
import { isTrue, type Row, rowsAt, textAt, textsAt } from '../render/fields.ts';
import { type AddCommand, given } from './command.ts';

export const addValidate: AddCommand = (program, perform) => {
  program
    .command('validate')
    .description('check goldfish.yaml, pipelines and stage configs; prints file:line:column: message')
    .argument('[workspace]', 'default: every mounted one')
    .option('--pipeline <name>', 'only this pipeline')
    .action((workspace: string | undefined, options: { pipeline?: string }) =>
      perform((cli) => validate(cli, given({ workspace, pipeline: options.pipeline }))),
    );
};

async function validate(cli: Cli, args: Row): Promise<Exit> {
  const answer = await cli.call('validate', args).catch(problemsOf);
  const problems = rowsAt(answer, 'problems');
  cli.show(answer, () => {
    for (const problem of problems) {
      cli.print(problemLine(problem));
      const hint = textAt(problem, 'hint');
      if (hint !== '') cli.note(`  hint: ${hint}`);
    }
    if (problems.length === 0) cli.confirm(`No problems in ${textsAt(answer, 'checked').join(', ')}.`);
    noteNext(cli, answer);
  });
  return isTrue(answer, 'valid') ? 'ok' : 'failed';
}

/** Problems that came as a refusal (a pipeline that is not there) are problems all the same. */
function problemsOf(error: unknown): Row {
  const isAboutFiles =
    isGoldfishError(error) && (error.code === 'INVALID_CONFIG' || error.code === 'INVALID_PIPELINE');
  if (!isAboutFiles || rowsAt(error.details, 'problems').length === 0) throw error;
  return { valid: false, problems: error.details['problems'], checked: [] };
}
