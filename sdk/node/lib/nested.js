'use strict';

/** Nested lists to typed arrays and back. */

const { GoldfishError, shown } = require('./errors.js');

/** @typedef {import('../index.d.ts').NdData} NdData */
/** @typedef {import('../index.d.ts').NdType} NdType */
/** @typedef {import('../index.d.ts').NdScalar} NdScalar */
/** @typedef {import('../index.d.ts').Nested} Nested */
/** @typedef {{ data: NdData, shape: number[], dtype: NdType }} Shaped */

/**
 * Type of the items, as numpy calls it → the class that holds them.
 * @type {Record<string, any>}
 */
const HOLDERS = {
  bool: Uint8Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  float32: Float32Array,
  float64: Float64Array,
};
/** @type {readonly number[]} */
const NO_AXES = [];

/**
 * The type of a typed array or a list of texts.
 * @param {unknown} data
 * @returns {NdType | undefined}
 */
function typeOfData(data) {
  if (Array.isArray(data)) return data.every((item) => typeof item === 'string') ? 'str' : undefined;
  if (data instanceof Uint8ClampedArray) return 'uint8';
  // bool shares its class with uint8.
  const found = Object.keys(HOLDERS).find((type) => type !== 'bool' && data instanceof HOLDERS[type]);
  return /** @type {NdType | undefined} */ (found);
}

/**
 * Lists, typed arrays and arrays with a shape as one array. Without `dtype` all items must be of one type: numbers are
 * float64, booleans bool, BigInts int64 (uint64 where needed), texts str; typed arrays keep theirs.
 * @param {unknown} value
 * @param {NdType | undefined} dtype
 * @param {string} what
 * @returns {Shaped}
 */
function gather(value, dtype, what) {
  const whole = asShaped(value);
  if (whole && (dtype ?? whole.dtype) === whole.dtype) return whole;
  /** @type {Found} */
  const found = { flat: [], types: new Set(), what };
  const shape = [...collect(value, found)];
  const type = dtype ?? commonType(found);
  if (type !== 'str' && !Object.hasOwn(HOLDERS, type)) {
    const names = [...Object.keys(HOLDERS), 'str'].join(', ');
    throw new GoldfishError(`${what}: there is no type ${shown(type)}; there are ${names}.`);
  }
  return { data: pack(found.flat, type, what), shape, dtype: type };
}

/**
 * One list per axis.
 * @param {readonly NdScalar[]} flat
 * @param {readonly number[]} shape
 * @returns {Nested}
 */
function nest(flat, shape) {
  const [length = 0, ...inner] = shape;
  if (shape.length === 0) return /** @type {NdScalar} */ (flat[0]);
  if (inner.length === 0) return [...flat];
  const size = inner.reduce((product, axis) => product * axis, 1);
  return Array.from({ length }, (_, row) => nest(flat.slice(row * size, (row + 1) * size), inner));
}

/** @typedef {{ flat: unknown[], types: Set<NdType>, what: string }} Found */

/**
 * Adds all items of a value to what was found; gives its shape.
 * @param {unknown} value
 * @param {Found} found
 * @returns {readonly number[]}
 */
function collect(value, found) {
  const whole = asShaped(value);
  if (whole) {
    for (const item of whole.data) found.flat.push(item);
    found.types.add(whole.dtype);
    return whole.shape;
  }
  if (!Array.isArray(value)) {
    found.types.add(typeOfScalar(value, found.what));
    found.flat.push(value);
    return NO_AXES;
  }
  /** @type {readonly number[] | undefined} */
  let first;
  for (let at = 0; at < value.length; at += 1) {
    const shape = collect(value[at], found);
    first ??= shape;
    if (shape.length === first.length && shape.every((length, axis) => length === first?.[axis])) continue;
    throw new GoldfishError(
      `${found.what}: item ${at} of a list has the shape [${shape.join(', ')}] and the first has ` +
        `[${first.join(', ')}]; an array needs equal ones.`,
    );
  }
  return [value.length, ...(first ?? NO_AXES)];
}

/**
 * @param {unknown} value
 * @returns {Shaped | undefined}
 */
function asShaped(value) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const dtype = typeOfData(value);
  if (dtype !== undefined) {
    const data = /** @type {Exclude<NdData, readonly unknown[]>} */ (value);
    return { data, shape: [data.length], dtype };
  }
  return 'data' in value && 'shape' in value && 'dtype' in value ? /** @type {Shaped} */ (value) : undefined;
}

/**
 * @param {unknown} value
 * @param {string} what
 * @returns {NdType}
 */
function typeOfScalar(value, what) {
  if (typeof value === 'number') return 'float64';
  if (typeof value === 'string') return 'str';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'bigint') return 'int64';
  const advice = value === null || value === undefined ? '; use NaN for a missing number' : '';
  throw new GoldfishError(`${what}: an array cannot hold ${shown(value)}${advice}.`);
}

/**
 * @param {Found} found
 * @returns {NdType}
 */
function commonType({ flat, types, what }) {
  const [type = 'float64', other] = types;
  if (other !== undefined) {
    throw new GoldfishError(`${what}: ${type} and ${other} cannot be mixed in one array.`);
  }
  const unsigned = type === 'int64' && flat.some((item) => typeof item === 'bigint' && item >= 2n ** 63n);
  return unsigned ? 'uint64' : type;
}

/**
 * @param {readonly unknown[]} flat
 * @param {NdType} type
 * @param {string} what
 * @returns {NdData}
 */
function pack(flat, type, what) {
  const packed = type === 'str' ? new Array(flat.length) : new HOLDERS[type](flat.length);
  const mayRound = type.startsWith('float');
  for (const [at, item] of flat.entries()) {
    const converted = convert(item, type);
    if (converted !== undefined) packed[at] = converted;
    if (converted !== undefined && (mayRound || packed[at] === converted)) continue;
    throw new GoldfishError(`${what}: ${shown(item)} does not fit into ${type}.`);
  }
  return packed;
}

/**
 * An item as a holder of that type takes it, or undefined where it is of another kind.
 * @param {unknown} item
 * @param {NdType} type
 */
function convert(item, type) {
  if (type === 'str') return typeof item === 'string' ? item : undefined;
  if (typeof item !== 'number' && typeof item !== 'boolean' && typeof item !== 'bigint') return undefined;
  if (type === 'bool') return Number(item) === 0 || Number(item) === 1 ? Number(item) : undefined;
  if (type !== 'int64' && type !== 'uint64') return Number(item);
  return typeof item === 'number' && !Number.isInteger(item) ? undefined : BigInt(item);
}

module.exports = { gather, HOLDERS, nest, typeOfData };
