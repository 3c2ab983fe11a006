import { createReadStream } from 'node:fs';
import { lstat, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import pLimit from 'p-limit';
import { errnoOf, isGoldfishError } from '../core/errors.ts';
import { folderHash, folderManifest } from '../core/folder-hash.ts';
import type { StoredOutput } from '../core/rows.ts';
import { type SignalType, signalFileName } from '../core/signals.ts';
import type { PlannedOutput } from '../core/stage-plan.ts';
import type { ObjectStorage } from '../storage/port.ts';
import { hashFile, type ScannedEntry, scanFolder } from './hash-file.ts';
import { objectKey } from './object-keys.ts';

/** JSON is parsed whole only up to this size; beyond it, readable is enough. */
const JSON_CHECK_LIMIT = 32 * 1024 * 1024;
/** Files of one folder that are stored at the same time: each waits for the disk. */
const FILES_AT_ONCE = 8;

export type OutputProblem = { output: string; message: string };
export type CollectedOutputs = {
  stored: Omit<StoredOutput, 'runId' | 'createdAt'>[];
  problems: OutputProblem[];
};

/**
 * Checks every declared output of a finished program and stores it by content. Repeating it is harmless: the same
 * bytes have the same key. Nothing must still be writing below `outputsDir`.
 * Errors: STORAGE_UNAVAILABLE where the storage refuses; problems of the outputs themselves are returned.
 */
export async function storeOutputs(request: {
  storage: ObjectStorage;
  outputsDir: string;
  outputs: readonly PlannedOutput[];
  signal?: AbortSignal;
}): Promise<CollectedOutputs> {
  const collected: CollectedOutputs = { stored: [], problems: [] };
  for (const output of request.outputs) {
    const path = join(request.outputsDir, signalFileName(output.name, output.type));
    const result = await storeOne({ ...request, output, path }).catch((error: unknown) => {
      if (!UNREADABLE.includes(errnoOf(error) ?? '')) throw error;
      return `declared output "${output.name}" cannot be read (${errnoOf(error)})`;
    });
    if (typeof result === 'string') collected.problems.push({ output: output.name, message: result });
    else collected.stored.push(result);
  }
  return collected;
}

/** What the storage refuses comes as a GoldfishError; these are the output's own. */
const UNREADABLE = ['EACCES', 'EPERM', 'ELOOP', 'ENOTDIR'];

type One = { storage: ObjectStorage; output: PlannedOutput; path: string; signal?: AbortSignal };

async function storeOne(one: One): Promise<CollectedOutputs['stored'][number] | string> {
  const { output, path } = one;
  const fileName = signalFileName(output.name, output.type);
  const stat = await lstat(path).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (!stat) return `declared output "${output.name}" is missing: nothing was written to ${fileName}`;
  if (output.type === 'directory') {
    if (!stat.isDirectory()) return `declared output "${output.name}" is not a folder`;
    return storeFolder(one);
  }
  if (!stat.isFile()) return `declared output "${output.name}" is not a regular file`;
  const unreadable = await formatProblem(path, output.type, stat.size);
  if (unreadable) return `declared output "${output.name}" ${unreadable}`;
  const { hash, size } = await putFile(one, path);
  return { name: output.name, type: output.type, kind: 'file', hash, size, storageLocation: objectKey(hash) };
}

async function putFile(
  one: Pick<One, 'storage' | 'signal'>,
  file: string,
): Promise<{ hash: string; size: number }> {
  const { hash, size } = await hashFile(file, one.signal);
  await putObject(one, hash, () => ({ file }));
  return { hash, size };
}

/** Content that is there already is not written again. */
async function putObject(
  one: Pick<One, 'storage' | 'signal'>,
  hash: string,
  body: () => Readable | Uint8Array | { file: string },
): Promise<void> {
  const key = objectKey(hash);
  const call = one.signal ? { signal: one.signal } : {};
  if (await one.storage.stat(key, call)) return;
  try {
    await one.storage.put(key, body(), { ...call, createOnly: true });
  } catch (error) {
    // Somebody else stored the same bytes meanwhile.
    if (!isGoldfishError(error) || error.code !== 'CONFLICT' || !(await one.storage.stat(key, call)))
      throw error;
  }
}

async function storeFolder(one: One): Promise<CollectedOutputs['stored'][number] | string> {
  const { output, path } = one;
  const scan = await scanFolder(path, one.signal);
  const problem = scan.problems[0];
  if (problem !== undefined) return `declared output "${output.name}": ${problem}`;
  const inTurn = pLimit(FILES_AT_ONCE);
  await inTurn.map(scan.entries, (entry) => putEntry(one, join(path, entry.path), entry));
  const hash = folderHash(scan.entries);
  await putObject(one, hash, () => Buffer.from(folderManifest(scan.entries)));
  const size = scan.entries.reduce((sum, entry) => sum + entry.size, 0);
  return {
    name: output.name,
    type: output.type,
    kind: 'folder',
    hash,
    size,
    storageLocation: objectKey(hash),
  };
}

async function putEntry(one: One, full: string, entry: ScannedEntry): Promise<void> {
  if (entry.mode === '040000') return;
  if (entry.mode === '120000') return putObject(one, entry.hash, () => Buffer.from(entry.target ?? ''));
  // A file may itself become the object, which is read-only: one that is executable would lose that here, and
  // storing the folder a second time would find another folder.
  const isExecutable = entry.mode === '100755';
  await putObject(one, entry.hash, () => (isExecutable ? createReadStream(full) : { file: full }));
}

const MAGIC: Partial<Record<SignalType, Buffer>> = {
  npy: Buffer.from('\x93NUMPY', 'latin1'),
  npz: Buffer.from('PK'),
  parquet: Buffer.from('PAR1'),
};

/** What is wrong with a file of a declared format, or undefined. A plain `file` may hold anything, also nothing. */
async function formatProblem(path: string, type: SignalType, size: number): Promise<string | undefined> {
  if (type === 'file') return undefined;
  if (size === 0) return 'is empty';
  const magic = MAGIC[type];
  if (magic) {
    const head = await readHead(path, magic.length);
    return head.equals(magic) ? undefined : `is not a readable ${type} file`;
  }
  if (type === 'json' && size <= JSON_CHECK_LIMIT) {
    try {
      JSON.parse(await readFile(path, 'utf8'));
    } catch {
      return 'is not readable JSON';
    }
  }
  return undefined;
}

async function readHead(path: string, length: number): Promise<Buffer> {
  const handle = await open(path, 'r');
  try {
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await handle.read(buffer, 0, length, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}
