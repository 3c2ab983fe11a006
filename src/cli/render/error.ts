import type { GoldfishError } from '../../core/errors.ts';
import { asCommand } from './as-command.ts';
import { type Row, rowsAt, textAt, textsAt } from './fields.ts';
import type { Style } from './style.ts';
import { plainLine, terminalText } from './terminal-text.ts';

/** A refusal for people: the message, what to do, and the command that does it. Ends with a line break. */
export function renderError(
  error: GoldfishError,
  options: { style: Style; project?: string | undefined },
): string {
  const { style, project } = options;
  const problems = problemLines(error.details);
  const candidates = textsAt(error.details, 'candidates');
  const allowed = textsAt(error.details, 'allowed');
  const fix = error.fix && terminalText(asCommand(error.fix, { project }), { colour: false });
  const lines = [
    `${style('red', 'goldfish:')} ${plainLine(error.message)} ${style('dim', `[${error.code}]`)}`,
    ...(problems.length > 1 ? problems : []),
    candidates.length > 0 ? `  candidates: ${plainLine(candidates.join(', '))}` : '',
    allowed.length > 0 ? `  allowed: ${plainLine(allowed.join(', '))}` : '',
    error.hint === undefined ? '' : `  hint: ${plainLine(error.hint)}`,
    fix === undefined ? '' : `  try: ${style('bold', fix)}`,
  ];
  return `${lines.filter((line) => line !== '').join('\n')}\n`;
}

function problemLines(details: Row): string[] {
  return rowsAt(details, 'problems').map((problem) => `  ${problemLine(problem)}`);
}

/** `pipeline.yaml:3:5: message`, which editors jump to; what has no line is named by its place, if it has one. */
export function problemLine(problem: Row): string {
  const [file, line, path] = [textAt(problem, 'file'), textAt(problem, 'line'), textAt(problem, 'path')];
  const hasLine = file !== '' && line !== '' && line !== '0';
  const place = hasLine ? [`${file}:${line}:${textAt(problem, 'column')}`] : [`${file} ${path}`.trim()];
  return plainLine([...place, textAt(problem, 'message')].filter((part) => part !== '').join(': '));
}
