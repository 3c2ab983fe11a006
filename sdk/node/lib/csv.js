'use strict';

/** Table files: csv as RFC 4180 has it, with the conventions of Goldfish's Python library. */

const { GoldfishError, shown } = require('./errors.js');

/** Canonical whole numbers only, so that "007" stays the text it is. */
const WHOLE = /^(?:0|-?[1-9][0-9]{0,300})$/;
const DECIMAL = /^[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf|nan)$/i;
const LEADING_ZERO = /^[+-]?0[0-9]/;
const NEEDS_QUOTES = /[",\r\n]/;
/** @type {Record<string, boolean>} */
const BOOLEANS = { True: true, False: false };

/** @typedef {import('../index.d.ts').Cell} Cell */
/** @typedef {import('../index.d.ts').Row} Row */

/**
 * True for what `writeCsv` takes: a list of objects or of rows.
 * @param {unknown} value
 * @returns {value is (Record<string, unknown> | readonly unknown[])[]}
 */
function isTable(value) {
  return Array.isArray(value) && value.every((row) => Array.isArray(row) || isObject(row));
}

/**
 * UTF-8 text, commas, `\n`; null and undefined as an empty cell, text quoted only where needed.
 *
 * Objects give a header: `columns` of the list, else all keys in the order they first appear. Rows are written as they
 * are, so the first one is the header.
 * @param {readonly (Record<string, unknown> | readonly unknown[])[]} table
 * @param {string} what  how messages begin
 */
function writeCsv(table, what) {
  const rows = rowsOf(table, what);
  const header = rows[0] ?? [];
  const lines = rows.map((row, number) => {
    if (row.length !== header.length) {
      throw new GoldfishError(
        `${what}: row ${number + 1} has ${row.length} cells, the first has ${header.length}.`,
      );
    }
    const cells = Array.from(row, (value, at) =>
      cellText(value, { what, row: number + 1, column: header[at] }),
    );
    // A line without any character would be no row at all.
    return cells.length === 1 && cells[0] === '' ? '""' : cells.join(',');
  });
  return lines.map((line) => `${line}\n`).join('');
}

/**
 * A list of objects, with `columns` in the order of the file. A column is of numbers or booleans where each of its cells
 * is one, else of texts; an empty cell is null.
 * @param {string} text
 * @param {string} what
 */
function readCsv(text, what) {
  const [header = [], ...body] = parse(text, what);
  const twice = header.find((name, at) => header.indexOf(name) !== at);
  if (twice !== undefined) {
    throw new GoldfishError(
      `${what}: the column ${shown(twice)} is there twice; load it with { rows: true }.`,
    );
  }
  const columns = typedColumns(header, body, what);
  const table = body.map((_, row) =>
    Object.fromEntries(header.map((name, at) => [name, columns[at]?.[row] ?? null])),
  );
  return withColumns(table, header);
}

/**
 * A list of rows; the first is the header.
 * @param {string} text
 * @param {string} what
 * @returns {Cell[][]}
 */
function readCsvRows(text, what) {
  const [header, ...body] = parse(text, what);
  if (header === undefined) return [];
  const columns = typedColumns(header, body, what);
  return [header, ...body.map((_, row) => columns.map((column) => column[row] ?? null))];
}

/**
 * Not enumerable: the list looks and compares like any other.
 * @param {Row[]} table
 * @param {string[]} columns
 */
function withColumns(table, columns) {
  const property = { value: columns, writable: true, configurable: true };
  return /** @type {import('../index.d.ts').Table} */ (Object.defineProperty(table, 'columns', property));
}

/**
 * @param {readonly (Record<string, unknown> | readonly unknown[])[]} table
 * @param {string} what
 * @returns {readonly (readonly unknown[])[]}
 */
function rowsOf(table, what) {
  const objects = table.filter(isObject);
  if (objects.length < table.length) {
    const lists = table.filter((row) => Array.isArray(row));
    if (objects.length === 0) return lists;
    throw new GoldfishError(`${what}: some rows are objects and some are lists.`);
  }
  const said = 'columns' in table ? table.columns : undefined;
  const keys = new Set(objects.flatMap((row) => Object.keys(row)));
  const columns = Array.isArray(said) ? [...new Set([...said.map(String), ...keys])] : [...keys];
  // Without any column an empty line: a file without a byte would be taken for one that was never written.
  return [columns, ...objects.map((row) => columns.map((column) => row[column]))];
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

/**
 * @param {unknown} value
 * @param {{ what: string, row: number, column: unknown }} at
 */
function cellText(value, { what, row, column }) {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string') return NEEDS_QUOTES.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  if (typeof value === 'number') return numberCell(value);
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.toISOString();
  throw new GoldfishError(
    `${what}: a csv cell cannot hold ${shown(value, 40)} (row ${row}, column ${shown(column, 40)}).`,
  );
}

/**
 * The words are those that Python and pandas read.
 * @param {number} value
 */
function numberCell(value) {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  return Object.is(value, -0) ? '-0.0' : String(value);
}

/**
 * @param {readonly string[]} header
 * @param {readonly (readonly string[])[]} body
 * @param {string} what
 * @returns {Cell[][]}
 */
function typedColumns(header, body, what) {
  for (const [number, row] of body.entries()) {
    if (row.length === header.length) continue;
    throw new GoldfishError(
      `${what}: row ${number + 1} has ${row.length} cells, the header has ${header.length}.`,
    );
  }
  return header.map((_, at) => typedColumn(body.map((row) => row[at] ?? '')));
}

/**
 * @param {readonly string[]} cells
 * @returns {Cell[]}
 */
function typedColumn(cells) {
  const filled = cells.filter((cell) => cell !== '');
  /** @type {(cell: string) => Cell} */
  let read = (cell) => cell;
  if (filled.every((cell) => Object.hasOwn(BOOLEANS, cell))) read = (cell) => BOOLEANS[cell] ?? null;
  else if (filled.every(isNumber)) read = toNumber;
  return cells.map((cell) => (cell === '' ? null : read(cell)));
}

/**
 * A number that loses nothing: one with leading zeros is a label; whole ones beyond 2^53 and others beyond 1e308 stay
 * text.
 * @param {string} cell
 */
function isNumber(cell) {
  if (WHOLE.test(cell)) return Number.isSafeInteger(Number(cell));
  if (!DECIMAL.test(cell) || LEADING_ZERO.test(cell)) return false;
  return Number.isFinite(Number(cell)) || /inf|nan/i.test(cell);
}

/** @param {string} cell */
function toNumber(cell) {
  const word = /^([+-]?)(inf|nan)$/i.exec(cell);
  if (!word) return Number(cell);
  if (word[2]?.toLowerCase() === 'nan') return Number.NaN;
  return word[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

/**
 * Empty lines are no rows.
 * @param {string} text
 * @param {string} what
 * @returns {string[][]}
 */
function parse(text, what) {
  /** @type {string[][]} */
  const rows = [];
  const length = text.length;
  let at = text.startsWith('\ufeff') ? 1 : 0;
  while (at < length) {
    /** @type {string[]} */
    const row = [];
    const start = at;
    for (;;) {
      const cell = text[at] === '"' ? quotedCell(text, at, what) : bareCell(text, at);
      row.push(cell.value);
      at = cell.end;
      if (text[at] !== ',') break;
      at += 1;
    }
    if (at > start) rows.push(row);
    at += text.startsWith('\r\n', at) ? 2 : 1;
  }
  return rows;
}

const CELL_END = /[,\r\n]/g;

/**
 * @param {string} text
 * @param {number} start
 */
function bareCell(text, start) {
  CELL_END.lastIndex = start;
  const end = CELL_END.exec(text)?.index ?? text.length;
  return { value: text.slice(start, end), end };
}

/**
 * @param {string} text
 * @param {number} start  of the opening quote
 * @param {string} what
 */
function quotedCell(text, start, what) {
  let end = text.indexOf('"', start + 1);
  while (end !== -1 && text[end + 1] === '"') end = text.indexOf('"', end + 2);
  const after = text[end + 1];
  if (end === -1 || (after !== undefined && !',\r\n'.includes(after))) {
    const line = text.slice(0, start).split('\n').length;
    const why = end === -1 ? 'a quoted cell does not end' : 'a closing quote stands inside a cell';
    throw new GoldfishError(`${what}: not a readable csv file: ${why} (it begins in line ${line}).`);
  }
  return { value: text.slice(start + 1, end).replaceAll('""', '"'), end: end + 1 };
}

module.exports = { isTable, readCsv, readCsvRows, writeCsv };
