'use strict';

/** Arrays with a shape: what an npy file holds. */

const { GoldfishError, shown } = require('./errors.js');
const { gather, HOLDERS, nest, typeOfData } = require('./nested.js');

/** @typedef {import('../index.d.ts').NdData} NdData */
/** @typedef {import('../index.d.ts').NdType} NdType */
/** @typedef {import('../index.d.ts').NdScalar} NdScalar */
/** @typedef {import('../index.d.ts').Nested} Nested */

/**
 * A typed array with a shape, in C order: the last axis varies fastest. Described in index.d.ts.
 */
class NdArray {
  /**
   * @param {NdData} data                a typed array or a list of texts; kept, not copied
   * @param {readonly number[]} [shape]  default: one axis
   * @param {NdType} [dtype]             needed only for `bool`, whose data is a Uint8Array of 0 and 1
   */
  constructor(data, shape = [data?.length ?? 0], dtype = typeOfData(data)) {
    if (dtype === undefined || !holds(data, dtype)) {
      throw new GoldfishError(`An NdArray${dtype ? ` of ${dtype}` : ''} cannot be made of ${shown(data)}.`);
    }
    const isShape = shape.every((length) => Number.isSafeInteger(length) && length >= 0);
    if (!isShape || shape.reduce((product, length) => product * length, 1) !== data.length) {
      throw new GoldfishError(`${data.length} items do not make an array of shape [${shape.join(', ')}].`);
    }
    this.data = data;
    this.shape = [...shape];
    this.dtype = dtype;
  }

  /**
   * @param {Nested | NdArray} value
   * @param {NdType} [dtype]
   */
  static from(value, dtype) {
    const { data, shape, dtype: type } = gather(value, dtype, 'The array');
    return new NdArray(data, shape, type);
  }

  /**
   * @param {...number} index
   * @returns {NdScalar}
   */
  get(...index) {
    const { shape } = this;
    if (index.length !== shape.length) {
      throw new GoldfishError(`An array of shape [${shape.join(', ')}] takes ${shape.length} indexes.`);
    }
    const at = shape.reduce((offset, length, axis) => offset * length + within(index[axis], length, axis), 0);
    return this.#item(at);
  }

  /** @param {number} index */
  row(index) {
    const { rows, columns } = this.#matrix('row');
    const from = within(index, rows, 0) * columns;
    return Array.isArray(this.data)
      ? this.data.slice(from, from + columns)
      : this.data.subarray(from, from + columns);
  }

  /**
   * @param {number} index
   * @returns {NdData}
   */
  column(index) {
    const { columns } = this.#matrix('column');
    within(index, columns, 1);
    /** @type {any} */
    const data = this.data;
    return data.filter((/** @type {unknown} */ _, /** @type {number} */ at) => at % columns === index);
  }

  numbers() {
    const { data, dtype } = this;
    if (Array.isArray(data)) throw new GoldfishError(`An array of ${dtype} holds no numbers.`);
    if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
      const inexact = firstInexact(data);
      if (inexact !== undefined) throw new GoldfishError(`${inexact} has no exact number; use data.`);
      return Float64Array.from(data, Number);
    }
    return Float64Array.from(data);
  }

  toNested() {
    const { data, shape } = this;
    const isLong = data instanceof BigInt64Array || data instanceof BigUint64Array;
    if (isLong && firstInexact(data) === undefined) return nest(Array.from(data, Number), shape);
    return nest(
      Array.from({ length: data.length }, (_, at) => this.#item(at)),
      shape,
    );
  }

  /** @param {number} at */
  #item(at) {
    const item = /** @type {NdScalar} */ (this.data[at]);
    return this.dtype === 'bool' ? Boolean(item) : item;
  }

  /** @param {string} noun */
  #matrix(noun) {
    const [rows = 0, columns = 0, ...more] = this.shape;
    if (this.shape.length === 2 && more.length === 0) return { rows, columns };
    throw new GoldfishError(`Only an array of two axes has a ${noun}; this one has ${this.shape.length}.`);
  }
}

/**
 * @param {unknown} data
 * @param {NdType} dtype
 */
function holds(data, dtype) {
  const own = typeOfData(data);
  if (dtype === 'bool') return own === 'uint8' && data instanceof HOLDERS['bool'];
  if (dtype === 'bytes') return Array.isArray(data) && data.every((item) => item instanceof Uint8Array);
  return own === dtype || (Array.isArray(data) && data.length === 0 && dtype === 'str');
}

/**
 * @param {number | undefined} index
 * @param {number} length
 * @param {number} axis
 */
function within(index, length, axis) {
  if (index !== undefined && Number.isInteger(index) && index >= 0 && index < length) return index;
  throw new GoldfishError(`Index ${index} of axis ${axis} is not in 0 to ${length - 1}.`);
}

/** @param {BigInt64Array | BigUint64Array} data */
function firstInexact(data) {
  for (const item of data) {
    if (item > Number.MAX_SAFE_INTEGER || item < Number.MIN_SAFE_INTEGER) return item;
  }
  return undefined;
}

module.exports = { NdArray };
