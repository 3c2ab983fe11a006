'use strict';

/** Copying and moving files and folders so that the result stands by itself. */

const fs = require('node:fs');
const { randomUUID } = require('node:crypto');
const { basename, dirname, isAbsolute, join, sep } = require('node:path');
const { fileURLToPath } = require('node:url');
const { GoldfishError, shown } = require('./errors.js');

/**
 * The file or folder that a value names, or undefined where the value is no path.
 *
 * A file URL is always one; text is one where it names something that exists. Text that looks like an absolute path
 * and names nothing is refused, for it is a mistake more often than data.
 * @param {unknown} value
 * @param {string} what
 */
function asExistingPath(value, what) {
  if (value instanceof URL) {
    if (value.protocol !== 'file:') throw new GoldfishError(`${what}: ${shown(value.href)} is no file URL.`);
    const path = fileURLToPath(value);
    if (statOf(path, fs.lstatSync)) return path;
    throw new GoldfishError(`${what}: there is no file or folder ${shown(path)}.`);
  }
  if (typeof value !== 'string' || value === '' || value.length > 4096 || /[\n\0]/.test(value))
    return undefined;
  if (fs.existsSync(value)) return value;
  if (!value.startsWith('/')) return undefined;
  throw new GoldfishError(
    `${what}: there is no file or folder ${shown(value)}; to save the text itself, pass a Buffer.`,
  );
}

/**
 * Makes `target` the content of `source`, replacing what is there; all of it or nothing.
 *
 * Links that stay inside a folder are kept; a link to a file elsewhere becomes that file; a link to a folder elsewhere,
 * a dangling link and special files are refused. With `move` the source is gone afterwards.
 * @param {string} source
 * @param {string} target
 * @param {{ what: string, move?: boolean }} how
 */
function place(source, target, { what, move = false }) {
  const from = fs.realpathSync(source);
  const to = fs.existsSync(target) ? fs.realpathSync(target) : join(realFolder(target), basename(target));
  if (from === to) return;
  if (to.startsWith(from + sep)) {
    throw new GoldfishError(`${what}: ${shown(source)} contains the place it would be saved to.`);
  }
  if (move && isPlain(source) && isRenamed(source, target)) return;
  replace(target, (temporary) => copy(source, temporary, what));
  if (move) remove(source);
}

/**
 * Lets `write` make a temporary neighbour, then gives it the target's name. A failure leaves nothing behind.
 * @param {string} target
 * @param {(temporary: string) => void} write
 */
function replace(target, write) {
  const temporary = join(
    dirname(target),
    `.${basename(target).slice(0, 60)}.${randomUUID().replaceAll('-', '').slice(0, 12)}.tmp`,
  );
  fs.mkdirSync(dirname(target), { recursive: true });
  try {
    write(temporary);
    if (isFolder(temporary) || isFolder(target)) remove(target);
    fs.renameSync(temporary, target);
  } catch (error) {
    remove(temporary);
    throw error;
  }
}

/**
 * Copies a file, or a folder with all that is in it. Modes become 644 or 755.
 * @param {string} source
 * @param {string} target
 * @param {string} what
 */
function copy(source, target, what) {
  const found = statOf(source, fs.statSync);
  if (!found) throw new GoldfishError(`${what}: ${shown(source)} is a link to nothing.`);
  if (found.isDirectory()) return copyFolder(source, target, { root: fs.realpathSync(source), what });
  if (!found.isFile()) throw new GoldfishError(`${what}: ${shown(source)} is no ordinary file.`);
  fs.copyFileSync(source, target, fs.constants.COPYFILE_FICLONE);
  fs.chmodSync(target, found.mode & 0o100 ? 0o755 : 0o644);
}

/**
 * Removes a file, a link or a whole folder; nothing there is fine.
 * @param {string} path
 */
function remove(path) {
  fs.rmSync(path, { recursive: true, force: true });
}

/**
 * Makes a file, or a folder and all below it, durable before it returns.
 * @param {string} path
 */
function syncTree(path) {
  const found = fs.lstatSync(path);
  if (found.isSymbolicLink()) return;
  if (found.isDirectory()) for (const name of fs.readdirSync(path)) syncTree(join(path, name));
  sync(path);
}

/**
 * One file, or the names in one folder.
 * @param {string} path
 */
function sync(path) {
  const descriptor = fs.openSync(path, 'r');
  try {
    fs.fsyncSync(descriptor);
  } finally {
    fs.closeSync(descriptor);
  }
}

/**
 * True for a folder itself, not for a link to one.
 * @param {string} path
 */
function isFolder(path) {
  return statOf(path, fs.lstatSync)?.isDirectory() ?? false;
}

/**
 * @param {string} source
 * @param {string} target
 * @param {{ root: string, what: string }} of
 */
function copyFolder(source, target, { root, what }) {
  fs.mkdirSync(target, { mode: 0o755 });
  for (const name of fs.readdirSync(source).sort()) {
    const [child, copied] = [join(source, name), join(target, name)];
    const isLink = fs.lstatSync(child).isSymbolicLink();
    if (isLink && staysInside(child, root)) fs.symlinkSync(fs.readlinkSync(child), copied);
    else if (isLink && statOf(child, fs.statSync)?.isDirectory()) {
      throw new GoldfishError(`${what}: ${shown(child)} is a link to a folder outside of the saved one.`);
    } else if (isFolder(child)) copyFolder(child, copied, { root, what });
    else copy(child, copied, what);
  }
}

/**
 * @param {string} link
 * @param {string} root
 */
function staysInside(link, root) {
  if (isAbsolute(fs.readlinkSync(link)) || !fs.existsSync(link)) return false;
  return fs.realpathSync(link).startsWith(root + sep);
}

/**
 * True where a rename gives the same as a copy: ordinary files and folders only, no links.
 * @param {string} path
 * @returns {boolean}
 */
function isPlain(path) {
  const found = fs.lstatSync(path);
  if (!found.isDirectory()) return found.isFile();
  return fs.readdirSync(path).every((name) => isPlain(join(path, name)));
}

/**
 * Moves by rename alone; false where source and target are on different file systems.
 * @param {string} source
 * @param {string} target
 */
function isRenamed(source, target) {
  fs.mkdirSync(dirname(target), { recursive: true });
  if (fs.statSync(source).dev !== fs.statSync(dirname(target)).dev) return false;
  remove(target);
  fs.renameSync(source, target);
  return true;
}

/** @param {string} path */
function realFolder(path) {
  fs.mkdirSync(dirname(path), { recursive: true });
  return fs.realpathSync(dirname(path));
}

/**
 * What the system says of a path, or undefined where nothing is there.
 * @param {string} path
 * @param {typeof fs.statSync | typeof fs.lstatSync} look
 */
function statOf(path, look) {
  return look(path, { throwIfNoEntry: false });
}

module.exports = { asExistingPath, copy, isFolder, place, remove, replace, sync, syncTree };
