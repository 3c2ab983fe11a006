import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Table } from '../../../../sdk/node/index.js';
import { goldfish, openStage, refuses, type Stage } from './stage.ts';

const { loadInput, saveOutput } = goldfish;

let stage: Stage;
beforeEach(() => {
  stage = openStage({ inputs: { t: 'csv' }, outputs: { t: 'csv' } });
});
afterEach(() => stage.dispose());

const text = (value: unknown): string => {
  saveOutput('t', value);
  return readFileSync(stage.output('t.csv'), 'utf8');
};
const table = (content: string | Uint8Array): Table => {
  stage.input('t.csv', content);
  return loadInput<Table>('t');
};

describe('a table saved by a Node stage', () => {
  it('has a header of all keys in the order they first appear, and quotes only where needed', () => {
    expect(
      text([
        { name: 'plain', note: 'a,b' },
        { note: 'say "no"', name: 'x\ny', more: 'c\rd' },
        { name: ' spaces ', note: null, more: undefined },
      ]),
    ).toBe('name,note,more\nplain,"a,b",\n"x\ny","say ""no""","c\rd"\n spaces ,,\n');
    expect(
      text([
        ['a', 'b'],
        [1, 'ü'],
      ]),
    ).toBe('a,b\n1,ü\n');
    // A file without a byte would be no output.
    expect(text([])).toBe('\n');
    expect(table(text([]))).toEqual([]);
    expect(text([{ a: null }, { a: '' }])).toBe('a\n""\n""\n');
    expect(text('as,it,is\r\n')).toBe('as,it,is\r\n');
  });

  it('has numbers, booleans and dates as Python and pandas read them', () => {
    const row = [1, -0, 1e21, 0.1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    expect(text([row.map((_, at) => `c${at}`), row])).toBe(
      'c0,c1,c2,c3,c4,c5,c6\n1,-0.0,1e+21,0.1,nan,inf,-inf\n',
    );
    expect(
      text([
        ['a', 'b', 'c', 'd'],
        [true, false, 2n ** 70n, new Date(0)],
      ]),
    ).toBe('a,b,c,d\nTrue,False,1180591620717411303424,1970-01-01T00:00:00.000Z\n');
  });

  it('is refused where a row or cell is none', () => {
    refuses(() => text([['a'], [1, 2]]), 'Output t (csv): row 2 has 2 cells, the first has 1.');
    refuses(() => text([{ a: 1 }, [1]]), 'Output t (csv): some rows are objects and some are lists.');
    refuses(
      () => text([{ a: { b: 1 } }]),
      'Output t (csv): a csv cell cannot hold { b: 1 } (row 2, column "a").',
    );
    refuses(
      () => text([{ a: new Date(Number.NaN) }]),
      'Output t (csv): a csv cell cannot hold Invalid Date…',
    );
    refuses(
      () => text([1, 2]),
      'Output t (csv) cannot hold [ 1, 2 ]; give a list of objects, a list of rows…',
    );
    refuses(() => text(''), 'Output t (csv): these bytes are not the content of a .csv file.');
    refuses(() => text([['half \ud83d']]), 'Output t (csv): the text is not valid Unicode at character 5.');
  });
});

describe('a table loaded by a Node stage', () => {
  it('is a list of objects with numbers, booleans, texts and null, and keeps the order of its columns', () => {
    const rows = table('\ufeffname,2020,n,ok,code\r\nx,1,1.5,True,007\r\n\r\n"y, ""z""",-2,,False,\r\n');
    expect(rows).toEqual([
      { name: 'x', '2020': 1, n: 1.5, ok: true, code: '007' },
      { name: 'y, "z"', '2020': -2, n: null, ok: false, code: null },
    ]);
    expect(rows.columns).toEqual(['name', '2020', 'n', 'ok', 'code']);
    expect(text(rows)).toBe('name,2020,n,ok,code\nx,1,1.5,True,007\n"y, ""z""",-2,,False,\n');
    expect(loadInput('t', { rows: true })).toEqual([
      ['name', '2020', 'n', 'ok', 'code'],
      ['x', 1, 1.5, true, '007'],
      ['y, "z"', -2, null, false, null],
    ]);
  });

  it('takes a column for numbers only where nothing is lost by it', () => {
    const column = (...cells: string[]): unknown[] =>
      table(`c,d\n${cells.map((cell) => `${cell},\n`).join('')}`).map((row) => row['c']);
    expect(column('1', '2.50', '1e3', '-.5')).toEqual([1, 2.5, 1000, -0.5]);
    expect(column('inf', '-Inf', 'NaN')).toEqual([Infinity, -Infinity, Number.NaN]);
    expect(column('1', 'x')).toEqual(['1', 'x']);
    expect(column('007', '1')).toEqual(['007', '1']);
    expect(column('12345678901234567890', '1')).toEqual(['12345678901234567890', '1']);
    expect(column('1e400')).toEqual(['1e400']);
    expect(column('True', 'true')).toEqual(['True', 'true']);
    expect(column('0x10', '1_000', ' 1', '')).toEqual(['0x10', '1_000', ' 1', null]);
    expect(column('', '')).toEqual([null, null]);
  });

  it('may be empty, of one column, without an end of line', () => {
    expect(table('')).toEqual([]);
    expect(loadInput('t', { rows: true })).toEqual([]);
    expect(table('a\n')).toEqual([]);
    expect(table('a\n1')).toEqual([{ a: 1 }]);
    expect(table('a,b\n1,')).toEqual([{ a: 1, b: null }]);
    expect(table('a\n""\n')).toEqual([{ a: null }]);
    expect(Object.entries(table('__proto__,a\n1,2\n')[0] ?? {})).toEqual([
      ['__proto__', 1],
      ['a', 2],
    ]);
  });

  it('is refused in one line where the file is damaged', () => {
    refuses(() => table('a,b\n1\n'), 'Input t: row 1 has 1 cells, the header has 2.');
    refuses(
      () => table('a,a\n1,2\n'),
      'Input t: the column "a" is there twice; load it with { rows: true }.',
    );
    refuses(
      () => table('a\n"x\n'),
      'Input t: not a readable csv file: a quoted cell does not end (it begins in line 2).',
    );
    refuses(
      () => table('a\n1\n"x"y\n'),
      'Input t: not a readable csv file: a closing quote stands inside a cell (it begins in line 3).',
    );
    refuses(() => table(Buffer.from([0x61, 0xff])), 'Input t: cannot be read: it is not UTF-8 text.');
  });

  it('is the one that was saved, whatever its texts', () => {
    const cell = fc.oneof(
      fc
        .string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'ü', '\ufeff'), minLength: 1 })
        .map((it) => `x${it}`),
      fc.constant(null),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(cell, cell)), (cells) => {
        const rows = cells.map(([a, b]) => ({ a, b }));
        saveOutput('t', rows);
        stage.input('t.csv', readFileSync(stage.output('t.csv')));
        expect(loadInput('t')).toEqual(rows);
      }),
      { numRuns: 200 },
    );
  });
});
