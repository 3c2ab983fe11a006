import { describe, expect, it } from 'vitest';
import { problemLine, renderError } from '../../../src/cli/render/error.ts';
import { colourStyle, plainStyle } from '../../../src/cli/render/style.ts';
import { GoldfishError } from '../../../src/core/errors.ts';

describe('a refusal for people', () => {
  it('says what, why, and the command that resolves it', () => {
    const error = new GoldfishError('INPUT_UNAVAILABLE', {
      message: 'train needs "features", which nobody has made.',
      hint: 'Run its producer first.',
      fix: { tool: 'run', arguments: { workspace: 'w', stages: ['prepare'], reason: 'make the input' } },
    });
    expect(renderError(error, { style: plainStyle, project: 'p' })).toBe(
      [
        'goldfish: train needs "features", which nobody has made. [INPUT_UNAVAILABLE]',
        '  hint: Run its producer first.',
        "  try: goldfish run w --stage prepare --reason 'make the input' --project p",
        '',
      ].join('\n'),
    );
  });

  it('lists every problem of several, and the candidates of an ambiguous id', () => {
    const problems = [
      { file: 'pipeline.yaml', line: 3, column: 5, message: 'There is no stage "x".' },
      { file: 'config_override', line: 0, column: 0, path: 'train.lr', message: 'It must be a number.' },
      { message: '"reason" is required' },
    ];
    const details = { problems, candidates: ['stage-1', 'stage-2'] };
    expect(
      renderError(new GoldfishError('INVALID_PIPELINE', { message: 'No.', details }), { style: plainStyle }),
    ).toBe(
      [
        'goldfish: No. [INVALID_PIPELINE]',
        '  pipeline.yaml:3:5: There is no stage "x".',
        '  config_override train.lr: It must be a number.',
        '  "reason" is required',
        '  candidates: stage-1, stage-2',
        '',
      ].join('\n'),
    );
  });

  it('hands no control character of the words it quotes to the terminal', () => {
    const error = new GoldfishError('INTERNAL', {
      message: 'bad \u001b]0;x\u0007name\u001b[2J',
      hint: 'a\u009bJ',
      fix: { tool: 'cancel', arguments: { target: 'x\u001b[2J' } },
    });
    expect(renderError(error, { style: colourStyle })).toBe(
      [
        '\u001b[31mgoldfish:\u001b[39m bad name \u001b[2m[INTERNAL]\u001b[22m',
        '  hint: a',
        "  try: \u001b[1mgoldfish cancel 'x'\u001b[22m",
        '',
      ].join('\n'),
    );
  });
});

describe('a problem in a file', () => {
  it('is a line that editors jump to', () => {
    expect(problemLine({ file: 'a b.yaml', line: 12, column: 1, message: 'It is\nwrong.' })).toBe(
      'a b.yaml:12:1: It is wrong.',
    );
  });

  it('has no place where there is no line', () => {
    expect(problemLine({ file: 'goldfish.yaml', line: 0, column: 0, message: 'It is missing.' })).toBe(
      'goldfish.yaml: It is missing.',
    );
  });
});
