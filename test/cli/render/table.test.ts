import { describe, expect, it } from 'vitest';
import { colourStyle, plainStyle, stateStyle } from '../../../src/cli/render/style.ts';
import { type Column, renderTable } from '../../../src/cli/render/table.ts';

const COLUMNS: readonly Column[] = [
  { title: 'run' },
  { title: 'state', style: stateStyle },
  { title: 'took', align: 'right' },
  { title: 'goal', shrinks: true },
];

describe('a table', () => {
  it('aligns its columns under titles, numbers to the right, without spaces at the end of a line', () => {
    const rows = [
      ['stage-1', 'completed', '2.1 s', 'a'],
      ['stage-22', 'failed', '12 min', ''],
    ];
    expect(renderTable(COLUMNS, rows, { style: plainStyle })).toBe(
      [
        'RUN       STATE        TOOK  GOAL',
        'stage-1   completed   2.1 s  a',
        'stage-22  failed     12 min',
      ].join('\n'),
    );
  });

  it('leaves out a column without any value', () => {
    expect(renderTable(COLUMNS, [['stage-1', 'failed', null, undefined]], { style: plainStyle })).toBe(
      'RUN      STATE\nstage-1  failed',
    );
  });

  it('colours a cell by its value and keeps the alignment', () => {
    const rows = [
      ['a', 'completed', '', 'x'],
      ['b', 'failed', '', 'y'],
    ];
    expect(renderTable(COLUMNS, rows, { style: colourStyle })).toBe(
      [
        '\u001b[1mRUN\u001b[22m  \u001b[1mSTATE    \u001b[22m  \u001b[1mGOAL\u001b[22m',
        'a    \u001b[32mcompleted\u001b[39m  x',
        'b    \u001b[31mfailed   \u001b[39m  y',
      ].join('\n'),
    );
  });

  it('counts wide characters, emoji and combining marks as a terminal draws them', () => {
    const rows = [
      ['数据', 'failed', '', ''],
      ['🐟', 'failed', '', ''],
      ['e\u0301t', 'failed', '', ''],
    ];
    expect(renderTable(COLUMNS, rows, { style: plainStyle })).toBe(
      ['RUN   STATE', '数据  failed', '🐟    failed', 'e\u0301t    failed'].join('\n'),
    );
  });

  it('cuts the columns that may be cut, and only those, to the width of the terminal', () => {
    const rows = [['stage-1', 'failed', '1.0 s', 'find out whether it works at all']];
    expect(renderTable(COLUMNS, rows, { style: plainStyle, width: 36 })).toBe(
      ['RUN      STATE    TOOK  GOAL', 'stage-1  failed  1.0 s  find out wh…'].join('\n'),
    );
    const narrow = renderTable(COLUMNS, rows, { style: plainStyle, width: 5 });
    expect(narrow).toContain('stage-1  failed  1.0 s  find ou…');
  });

  it('keeps a value in one line and takes what a terminal would obey out of it', () => {
    const rows = [['a\nb', 'failed', '', '\u001b]0;owned\u0007x\u001b[2Jy']];
    expect(renderTable(COLUMNS, rows, { style: plainStyle })).toBe('RUN  STATE   GOAL\na b  failed  xy');
  });
});
