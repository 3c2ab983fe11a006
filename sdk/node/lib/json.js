'use strict';

/** JSON that means the same in other languages, or a word on exactly what cannot be. */

const { GoldfishError, shown } = require('./errors.js');
const { NdArray } = require('./nd-array.js');

/** What JSON.parse would round, or not read at all although Python writes it. */
const INEXACT = /[0-9]{16}|NaN|Infinity/;
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?(?:[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|Infinity)|NaN/gs;

/**
 * @typedef {object} Style
 * @property {string} what     how messages begin
 * @property {boolean} strict  nothing may come back as something else, and NaN and infinities pass: a state that is
 *                             saved to be continued
 */

/**
 * JSON text with two spaces of indent, keys in the order given, a newline at the end: the same value gives the same
 * bytes everywhere. Throws a GoldfishError naming the place (`$.loss[3]`) of what JSON does not have.
 * @param {unknown} value
 * @param {Style} style
 */
function jsonText(value, style) {
  /** @type {string[]} */
  const parts = [];
  const writer = { ...style, parts, seen: new Set() };
  try {
    write(writer, value, '$', '\n');
  } catch (error) {
    if (error instanceof RangeError)
      throw new GoldfishError(`${style.what}: the value is nested too deeply.`);
    throw error;
  }
  parts.push('\n');
  return parts.join('');
}

/**
 * Reads JSON exactly: whole numbers beyond 2^53 become BigInts, and the NaN and Infinity that Python writes are read.
 * @param {string} text
 * @returns {unknown}
 */
function parseJson(text) {
  if (!INEXACT.test(text)) return JSON.parse(text);
  let mark = '\0goldfish:';
  for (let number = 0; text.includes(mark.slice(1)); number += 1) mark = `\0goldfish-${number}:`;
  const quoted = text.replace(TOKEN, (token) =>
    token.startsWith('"') || isExact(token) ? token : JSON.stringify(mark + token),
  );
  return JSON.parse(quoted, (_, value) =>
    typeof value === 'string' && value.startsWith(mark) ? special(value.slice(mark.length)) : value,
  );
}

/**
 * A finite number so that every reader sees the same one. Large whole numbers get an exponent: without it readers that
 * have integers of any size would see an integer, and digits that were never meant.
 * @param {number} number
 */
function numberText(number) {
  if (Object.is(number, -0)) return '-0.0';
  return Number.isInteger(number) && !Number.isSafeInteger(number) ? number.toExponential() : String(number);
}

/** @param {string} token */
function isExact(token) {
  return /^-?[0-9]+$/.test(token) ? Number.isSafeInteger(Number(token)) : !/[NI]/.test(token);
}

/** @param {string} token */
function special(token) {
  return /[NI]/.test(token) ? Number(token) : BigInt(token);
}

/**
 * @param {Style & { parts: string[], seen: Set<object> }} writer
 * @param {unknown} value
 * @param {string} place
 * @param {string} newline  a line break and the indent of this level
 * @returns {void}
 */
function write(writer, value, place, newline) {
  const { what, strict, parts, seen } = writer;
  if (typeof value !== 'object' || value === null) {
    parts.push(scalarText(value, { what, strict, place }));
    return;
  }
  const plain = strict ? value : listed(value);
  if (plain !== value) return write(writer, plain, place, newline);
  if (seen.has(value)) throw new GoldfishError(`${what}: ${place} contains itself.`);
  seen.add(value);
  const inner = `${newline}  `;
  if (Array.isArray(value)) {
    writeAll(writer, '[]', newline, value.length, (at) => write(writer, value[at], `${place}[${at}]`, inner));
  } else {
    checkPlain(value, { what, strict, place });
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    writeAll(writer, '{}', newline, entries.length, (at) => {
      const [key, item] = entries[at] ?? ['', null];
      parts.push(`${JSON.stringify(key)}: `);
      write(writer, item, `${place}.${key}`, inner);
    });
  }
  seen.delete(value);
}

/**
 * @param {{ parts: string[] }} writer
 * @param {string} brackets
 * @param {string} newline
 * @param {number} length
 * @param {(at: number) => void} writeOne
 */
function writeAll({ parts }, brackets, newline, length, writeOne) {
  parts.push(brackets.slice(0, 1));
  for (let at = 0; at < length; at += 1) {
    parts.push(`${at === 0 ? '' : ','}${newline}  `);
    writeOne(at);
  }
  parts.push(`${length === 0 ? '' : newline}${brackets.slice(1)}`);
}

/**
 * @param {unknown} value
 * @param {Style & { place: string }} at
 */
function scalarText(value, { what, strict, place }) {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint') {
    if (strict && value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER) {
      throw new GoldfishError(
        `${what}: ${place} is a BigInt that would come back as a number; save Number(…).`,
      );
    }
    return String(value);
  }
  if (typeof value === 'number' && Number.isFinite(value)) return numberText(value);
  if (typeof value === 'number' && strict) return String(value);
  const is = typeof value === 'number' || value === undefined ? String(value) : `a ${typeof value}`;
  throw new GoldfishError(`${what}: ${place} is ${is}, which JSON does not have.`);
}

/**
 * What stands for a value in JSON: lists for arrays of numbers, the value's own word for dates and the like.
 * @param {object} value
 */
function listed(value) {
  if (value instanceof NdArray) return value.toNested();
  if (ArrayBuffer.isView(value) && !(value instanceof DataView))
    return Array.from(/** @type {any} */ (value));
  return 'toJSON' in value && typeof value.toJSON === 'function' ? value.toJSON() : value;
}

/**
 * @param {object} value
 * @param {Style & { place: string }} at
 */
function checkPlain(value, { what, strict, place }) {
  const prototype = Object.getPrototypeOf(value);
  // Objects of another realm (vm, workers) have an Object.prototype of their own.
  if (prototype === null || Object.getPrototypeOf(prototype) === null) return;
  const name = value.constructor?.name || 'object';
  if (strict && (value instanceof NdArray || ArrayBuffer.isView(value))) {
    throw new GoldfishError(
      `${what}: ${place} is a ${name} inside other data: save a list of it, an object of arrays alone, or a file.`,
    );
  }
  throw new GoldfishError(`${what}: ${place} is a ${name}, which JSON does not have${adviceFor(value)}.`);
}

/** @param {object} value */
function adviceFor(value) {
  if (value instanceof Promise) return '; await it first';
  if (value instanceof Map) return '; save Object.fromEntries(map)';
  if (value instanceof Set) return '; save [...set]';
  return '; save a plain object, such as { ...value }';
}

/**
 * @param {string} text
 * @param {string} what
 */
function readJson(text, what) {
  try {
    return parseJson(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : error;
    throw new GoldfishError(`${what}: not a readable JSON file: ${shown(why, 200).replace(/^"|"$/g, '')}`);
  }
}

module.exports = { jsonText, numberText, readJson };
