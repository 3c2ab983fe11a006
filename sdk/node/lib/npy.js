'use strict';

/** The npy format (numpy.lib.format, versions 1 to 3): a header in Python's own words, then the items. */

const { endianness } = require('node:os');
const { GoldfishError, shown } = require('./errors.js');
const { NdArray } = require('./nd-array.js');
const { gather, HOLDERS } = require('./nested.js');

const MAGIC = Buffer.from('\x93NUMPY', 'latin1');
/**
 * numpy pads its header to 64 bytes and leaves room for the first axis to grow to 21 digits; so do we, so that an array
 * gives the same bytes as numpy.save.
 */
const ALIGNMENT = 64;
const GROWTH_DIGITS = 21;
/** @type {Record<string, import('../index.d.ts').NdType>} */
const TYPES = {
  b1: 'bool',
  i1: 'int8',
  u1: 'uint8',
  i2: 'int16',
  u2: 'uint16',
  i4: 'int32',
  u4: 'uint32',
  i8: 'int64',
  u8: 'uint64',
  f4: 'float32',
  f8: 'float64',
};
const HOST_ORDER = endianness() === 'LE' ? '<' : '>';

/**
 * The whole file, in parts: version 1.0, C order, little-endian.
 * @param {unknown} value  an NdArray, a typed array, or nested lists
 * @param {string} what    how messages begin
 * @returns {Buffer[]}
 */
function writeNpy(value, what) {
  const { data, shape, dtype } = gather(value, undefined, what);
  const { code, payload } = encode(data, dtype, what);
  const tuple = `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`;
  const growth = shape[0] === undefined ? 0 : GROWTH_DIGITS - String(shape[0]).length;
  const said = `{'descr': '${code}', 'fortran_order': False, 'shape': ${tuple}, }${' '.repeat(growth)}`;
  // Magic, two bytes of version, two bytes of length; the newline ends the header.
  const before = MAGIC.length + 4;
  const padding = ALIGNMENT - ((before + said.length + 1) % ALIGNMENT);
  const header = `${said}${' '.repeat(padding)}\n`;
  const start = Buffer.from([...MAGIC, 1, 0, 0, 0]);
  start.writeUInt16LE(header.length, before - 2);
  return [start, Buffer.from(header, 'latin1'), payload];
}

/**
 * @param {Buffer} file  kept where its bytes can be used as they are
 * @param {string} what
 * @returns {import('../index.d.ts').NdArray}
 */
function readNpy(file, what) {
  const { code, order, fortran, shape, start } = readHeader(file, what);
  const count = shape.reduce((product, length) => product * length, 1);
  const payload = (/** @type {number} */ itemSize) => {
    const there = file.length - start;
    if (there >= count * itemSize) return file.subarray(start, start + count * itemSize);
    throw new GoldfishError(`${what}: the npy file ends early: ${there} of ${count * itemSize} bytes.`);
  };
  const text = /^([US])([0-9]+)$/.exec(code);
  const type = text ? (text[1] === 'U' ? 'str' : 'bytes') : code === 'f2' ? 'float32' : TYPES[code];
  if (type === undefined) {
    throw new GoldfishError(`${what}: arrays of type ${shown(order + code)} cannot be read here.`);
  }
  const width = Math.max(1, Number(text?.[2] ?? code.slice(1))) * (type === 'str' ? 4 : 1);
  const bytes = payload(width);
  const data = text
    ? readTexts(bytes, { type, width, count, order })
    : readNumbers(bytes, { code, order: width === 1 ? HOST_ORDER : order });
  const array = new NdArray(data, fortran ? [...shape].reverse() : shape, type);
  return fortran && shape.length > 1 ? transposed(array) : array;
}

/**
 * @param {import('../index.d.ts').NdData} data
 * @param {string} dtype
 * @param {string} what
 */
function encode(data, dtype, what) {
  if (Array.isArray(data)) {
    if (dtype !== 'str') throw new GoldfishError(`${what}: an array of ${dtype} cannot be written here.`);
    const texts = data.map((item) => Array.from(String(item), (letter) => letter.codePointAt(0) ?? 0));
    if (texts.flat().some((letter) => letter >= 0xd800 && letter <= 0xdfff)) {
      throw new GoldfishError(`${what}: one of the texts is not valid Unicode.`);
    }
    const width = texts.reduce((most, letters) => Math.max(most, letters.length), 1);
    const payload = Buffer.alloc(texts.length * width * 4);
    for (const [row, letters] of texts.entries()) {
      for (const [at, letter] of letters.entries()) payload.writeUInt32LE(letter, (row * width + at) * 4);
    }
    return { code: `<U${width}`, payload };
  }
  const code = Object.keys(TYPES).find((name) => TYPES[name] === dtype) ?? '';
  const size = data.BYTES_PER_ELEMENT;
  const own = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const payload = HOST_ORDER === '<' || size === 1 ? own : swapped(own, size);
  return { code: `${size === 1 ? '|' : '<'}${code}`, payload };
}

/**
 * @param {Buffer} file
 * @param {string} what
 */
function readHeader(file, what) {
  const version = file[MAGIC.length] ?? 0;
  if (!file.subarray(0, MAGIC.length).equals(MAGIC) || version < 1 || version > 3) {
    throw new GoldfishError(`${what}: not an npy file.`);
  }
  const before = version === 1 ? 10 : 12;
  const length = file.length < before ? 0 : version === 1 ? file.readUInt16LE(8) : file.readUInt32LE(8);
  const header = file.toString(version === 3 ? 'utf8' : 'latin1', before, before + length);
  const fortran = /['"]fortran_order['"]: *(True|False)/.exec(header)?.[1];
  const axes = /['"]shape['"]: *\(([0-9L, ]*)\)/.exec(header)?.[1];
  const type = /['"]descr['"]: *(\[|'([<>|=]?)([^']*)'|"([<>|=]?)([^"]*)")/.exec(header);
  if (file.length < before + length || fortran === undefined || axes === undefined || type === null) {
    throw new GoldfishError(`${what}: the header of the npy file is damaged.`);
  }
  if (type[1] === '[') {
    throw new GoldfishError(`${what}: structured arrays cannot be read here; save columns of their own.`);
  }
  const code = type[3] ?? type[5] ?? '';
  if (code.includes('O')) {
    throw new GoldfishError(
      `${what}: holds Python objects, which would need pickle; Goldfish does not load those.`,
    );
  }
  return {
    code,
    order: (type[2] ?? type[4]) === '>' ? '>' : '<',
    fortran: fortran === 'True',
    shape: (axes.match(/[0-9]+/g) ?? []).map(Number),
    start: before + length,
  };
}

/**
 * @param {Buffer} bytes
 * @param {{ code: string, order: string }} is
 * @returns {import('../index.d.ts').NdData}
 */
function readNumbers(bytes, { code, order }) {
  const size = Number(code.slice(1));
  const Holder = code === 'f2' ? Uint16Array : HOLDERS[TYPES[code] ?? ''];
  const inOrder = order === HOST_ORDER ? bytes : swapped(bytes, size);
  const aligned = inOrder.byteOffset % size === 0 ? inOrder : new Uint8Array(inOrder);
  const items = new Holder(aligned.buffer, aligned.byteOffset, aligned.byteLength / size);
  return code === 'f2' ? Float32Array.from(items, halfValue) : items;
}

/**
 * Trailing zeros are padding, as for numpy.
 * @param {Buffer} bytes
 * @param {{ type: string, width: number, count: number, order: string }} is
 * @returns {string[] | Uint8Array[]}
 */
function readTexts(bytes, { type, width, count, order }) {
  const cells = Array.from({ length: count }, (_, at) => bytes.subarray(at * width, (at + 1) * width));
  if (type === 'bytes') {
    return cells.map((cell) => {
      let end = cell.length;
      while (end > 0 && cell[end - 1] === 0) end -= 1;
      return Buffer.from(cell.subarray(0, end));
    });
  }
  return cells.map((cell) => {
    let text = '';
    for (let at = 0; at < width; at += 4) {
      const letter = order === '>' ? cell.readUInt32BE(at) : cell.readUInt32LE(at);
      text += String.fromCodePoint(letter > 0x10ffff ? 0xfffd : letter);
    }
    return text.replace(/\0+$/, '');
  });
}

/**
 * @param {Buffer} bytes
 * @param {number} size
 */
function swapped(bytes, size) {
  const copy = Buffer.from(bytes);
  if (size === 2) return copy.swap16();
  return size === 4 ? copy.swap32() : copy.swap64();
}

/**
 * IEEE 754 binary16.
 * @param {number} bits
 */
function halfValue(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/**
 * The same items with the axes in the other order: what was stored column by column.
 * @param {import('../index.d.ts').NdArray} array
 * @returns {import('../index.d.ts').NdArray}
 */
function transposed(array) {
  const shape = [...array.shape].reverse();
  // How far apart neighbours along each axis of the result are in the source.
  const strides = shape.map((_, axis) =>
    shape.slice(0, axis).reduce((product, length) => product * length, 1),
  );
  /** @type {any} */
  const source = array.data;
  const data = source.slice();
  const index = shape.map(() => 0);
  let from = 0;
  for (let at = 0; at < data.length; at += 1) {
    data[at] = source[from];
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      const stride = strides[axis] ?? 0;
      const next = (index[axis] ?? 0) + 1;
      from += stride;
      index[axis] = next;
      if (next < (shape[axis] ?? 0)) break;
      from -= next * stride;
      index[axis] = 0;
    }
  }
  return new NdArray(data, shape, array.dtype);
}

module.exports = { readNpy, writeNpy };
