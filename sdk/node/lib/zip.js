'use strict';

/** Zip archives, as far as npz files need them: written uncompressed, read stored or deflated, with zip64 sizes. */

const { closeSync, fstatSync, openSync, readSync } = require('node:fs');
const zlib = require('node:zlib');
const { GoldfishError } = require('./errors.js');

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const END_64 = 0x06064b50;
const END_64_LOCATOR = 0x07064b50;
const LOCAL_LENGTH = 30;
const END_LENGTH = 22;
const STORED = 0;
const DEFLATED = 8;
/** Above it a field of the format holds this and the true value stands in an extra field. */
const MAX_32 = 0xffffffff;
/** The format's first possible moment, so that equal arrays give equal bytes: 1 January 1980. */
const FIRST_DATE = (1 << 5) | 1;
const UTF8_NAME = 0x800;

/** @typedef {{ name: string, data: readonly Buffer[] }} NewMember */
/** @typedef {{ name: string, method: number, crc: number, packed: number, size: number, offset: number }} Member */

/**
 * An uncompressed archive, in the bytes that Python's zipfile gives.
 * @param {readonly NewMember[]} members
 * @param {string} what  how messages begin
 * @returns {Buffer[]}
 */
function writeZip(members, what) {
  /** @type {Buffer[]} */
  const files = [];
  /** @type {Buffer[]} */
  const directory = [];
  let offset = 0;
  for (const { name, data } of members) {
    const fileName = Buffer.from(name, 'utf8');
    const start = offset;
    offset += LOCAL_LENGTH + fileName.length + lengthOf(data);
    if (offset > MAX_32) throw new GoldfishError(`${what}: larger than 4 GiB; save the arrays as npy files.`);
    const local = localHeader(fileName, data);
    files.push(local, fileName, ...data);
    directory.push(centralHeader(local, start), fileName);
  }
  const end = Buffer.alloc(END_LENGTH);
  end.writeUInt32LE(END, 0);
  end.writeUInt16LE(members.length, 8);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(lengthOf(directory), 12);
  end.writeUInt32LE(offset, 16);
  return [...files, ...directory, end];
}

/**
 * All members whose name the caller wants, read and checked.
 * @param {string} path
 * @param {string} what
 * @param {(name: string) => boolean} wanted
 * @returns {{ name: string, data: Buffer }[]}
 */
function readZip(path, what, wanted) {
  const descriptor = openSync(path, 'r');
  try {
    return readDirectory(descriptor, what)
      .filter(({ name }) => wanted(name))
      .map((member) => ({ name: member.name, data: readMember(descriptor, member, what) }));
  } finally {
    closeSync(descriptor);
  }
}

/**
 * The fixed part of a member's header, without the name.
 * @param {Buffer} name
 * @param {readonly Buffer[]} data
 */
function localHeader(name, data) {
  const size = lengthOf(data);
  const header = Buffer.alloc(LOCAL_LENGTH);
  header.writeUInt32LE(LOCAL, 0);
  header.writeUInt16LE(20, 4);
  header.writeUInt16LE(name.some((byte) => byte > 127) ? UTF8_NAME : 0, 6);
  header.writeUInt16LE(STORED, 8);
  header.writeUInt16LE(FIRST_DATE, 12);
  header.writeUInt32LE(crc32(data), 14);
  header.writeUInt32LE(size, 18);
  header.writeUInt32LE(size, 22);
  header.writeUInt16LE(name.length, 26);
  return header;
}

/**
 * @param {Buffer} local
 * @param {number} offset
 */
function centralHeader(local, offset) {
  const header = Buffer.alloc(46);
  header.writeUInt32LE(CENTRAL, 0);
  // Made by a Unix system; a file that its owner reads and writes.
  header.writeUInt16LE((3 << 8) | 20, 4);
  local.copy(header, 6, 4, LOCAL_LENGTH);
  header.writeUInt32LE(0o600 * 0x10000, 38);
  header.writeUInt32LE(offset, 42);
  return header;
}

/**
 * @param {number} descriptor
 * @param {string} what
 * @returns {Member[]}
 */
function readDirectory(descriptor, what) {
  const length = fstatSync(descriptor).size;
  const tail = readAt(descriptor, Math.max(0, length - 65557), Math.min(length, 65557), what);
  const at = endOf(tail);
  if (at === -1) throw damaged(what, 'it has no directory');
  let [count, size, offset] = [
    tail.readUInt16LE(at + 10),
    tail.readUInt32LE(at + 12),
    tail.readUInt32LE(at + 16),
  ];
  if (at >= 20 && tail.readUInt32LE(at - 20) === END_64_LOCATOR) {
    const end = readAt(descriptor, Number(tail.readBigUInt64LE(at - 12)), 56, what);
    if (end.readUInt32LE(0) !== END_64) throw damaged(what, 'it has no directory');
    const [entries, bytes, start] = [
      end.readBigUInt64LE(32),
      end.readBigUInt64LE(40),
      end.readBigUInt64LE(48),
    ];
    [count, size, offset] = [Number(entries), Number(bytes), Number(start)];
  }
  const directory = readAt(descriptor, offset, size, what);
  /** @type {Member[]} */
  const members = [];
  for (let place = 0; members.length < count; ) {
    if (directory.length < place + 46 || directory.readUInt32LE(place) !== CENTRAL) {
      throw damaged(what, 'its directory is damaged');
    }
    const named = directory.readUInt16LE(place + 28);
    const end = place + 46 + named + directory.readUInt16LE(place + 30);
    members.push(readEntry(directory.subarray(place, end), named));
    place = end + directory.readUInt16LE(place + 32);
  }
  return members;
}

/**
 * Where the end record begins: it is followed by a comment of the length it names, whatever that comment says.
 * @param {Buffer} tail
 */
function endOf(tail) {
  for (let at = tail.length - END_LENGTH; at >= 0; at -= 1) {
    const ends = at + END_LENGTH + tail.readUInt16LE(at + 20) === tail.length;
    if (ends && tail.readUInt32LE(at) === END) return at;
  }
  return -1;
}

/**
 * @param {Buffer} entry  with its name and extra fields
 * @param {number} named  length of the name
 * @returns {Member}
 */
function readEntry(entry, named) {
  const utf8 = (entry.readUInt16LE(8) & UTF8_NAME) !== 0;
  const sizes = {
    size: entry.readUInt32LE(24),
    packed: entry.readUInt32LE(20),
    offset: entry.readUInt32LE(42),
  };
  for (let at = 46 + named; at + 4 <= entry.length; at += 4 + entry.readUInt16LE(at + 2)) {
    if (entry.readUInt16LE(at) !== 1) continue;
    let place = at + 4;
    for (const field of /** @type {const} */ (['size', 'packed', 'offset'])) {
      if (sizes[field] !== MAX_32 || place + 8 > entry.length) continue;
      sizes[field] = Number(entry.readBigUInt64LE(place));
      place += 8;
    }
  }
  const name = entry.toString(utf8 ? 'utf8' : 'latin1', 46, 46 + named);
  return { name, method: entry.readUInt16LE(10), crc: entry.readUInt32LE(16), ...sizes };
}

/**
 * @param {number} descriptor
 * @param {Member} member
 * @param {string} what
 */
function readMember(descriptor, member, what) {
  const local = readAt(descriptor, member.offset, LOCAL_LENGTH, what);
  if (local.readUInt32LE(0) !== LOCAL) throw damaged(what, `${member.name} is not where it should be`);
  const start = member.offset + LOCAL_LENGTH + local.readUInt16LE(26) + local.readUInt16LE(28);
  const packed = readAt(descriptor, start, member.packed, what);
  const data = unpacked(packed, member, what);
  if (data.length === member.size && crc32([data]) === member.crc) return data;
  throw damaged(what, `${member.name} is damaged`);
}

/**
 * @param {Buffer} packed
 * @param {Member} member
 * @param {string} what
 */
function unpacked(packed, { name, method, size }, what) {
  if (method === STORED) return packed;
  if (method !== DEFLATED) throw damaged(what, `${name} is compressed by method ${method}`);
  try {
    return zlib.inflateRawSync(packed, { maxOutputLength: Math.max(1, size) });
  } catch {
    throw damaged(what, `${name} is damaged`);
  }
}

/**
 * Memory of its own, so that numbers in it are aligned.
 * @param {number} descriptor
 * @param {number} position
 * @param {number} length
 * @param {string} what
 */
function readAt(descriptor, position, length, what) {
  const end = fstatSync(descriptor).size;
  if (position + length > end) throw damaged(what, 'it ends early');
  const buffer = Buffer.allocUnsafeSlow(length);
  let filled = 0;
  while (filled < length) {
    // Node reads at most 2 GiB at once.
    const wanted = Math.min(length - filled, 0x40000000);
    const count = readSync(descriptor, buffer, filled, wanted, position + filled);
    if (count === 0) throw damaged(what, 'it ends early');
    filled += count;
  }
  return buffer;
}

/**
 * @param {string} what
 * @param {string} why
 */
function damaged(what, why) {
  return new GoldfishError(`${what}: not a readable npz file: ${why}.`);
}

/** @param {readonly Buffer[]} parts */
function lengthOf(parts) {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

/**
 * @param {readonly Buffer[]} parts
 * @returns {number}
 */
function crc32(parts) {
  return parts.reduce(
    (value, part) => ('crc32' in zlib ? zlib.crc32(part, value) : crc32ByHand(part, value)),
    0,
  );
}

/** @type {Uint32Array | undefined} */
let table;

/**
 * For Node before 22.2.
 * @param {Buffer} data
 * @param {number} before
 */
function crc32ByHand(data, before) {
  table ??= Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    return value;
  });
  let crc = ~before;
  for (const byte of data) crc = (crc >>> 8) ^ (table[(crc ^ byte) & 0xff] ?? 0);
  return ~crc >>> 0;
}

module.exports = { readZip, writeZip };
