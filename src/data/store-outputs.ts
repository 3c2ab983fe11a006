import { lstat, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../core/errors.ts';
import type { StoredOutput } from '../core/rows.ts';
import { type SignalType, signalFileName } from '../core/signals.ts';
import type { PlannedOutput } from '../core/stage-plan.ts';
import { type StoreDeps, type StoredContent, storeFile, storeFolder } from './store-content.ts';

/** JSON is parsed whole only up to this size; beyond it, readable is enough. */
const JSON_CHECK_LIMIT = 32 * 1024 * 1024;

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
export async function storeOutputs(
  request: StoreDeps & { outputsDir: string; outputs: readonly PlannedOutput[] },
): Promise<CollectedOutputs> {
  const collected: CollectedOutputs = { stored: [], problems: [] };
  // Without a sandbox a program can put a link in its place, and what is behind it is no output of the run.
  const isOwn = await lstat(request.outputsDir).then((stat) => stat.isDirectory(), isAbsent);
  if (!isOwn && request.outputs.length > 0) {
    const message = 'its folder of outputs is no longer a folder';
    return { ...collected, problems: [{ output: request.outputs[0]?.name ?? '', message }] };
  }
  for (const output of request.outputs) {
    const path = join(request.outputsDir, signalFileName(output.name, output.type));
    const result = await storeOne(request, { output, path }).catch((error: unknown) => {
      if (!UNREADABLE.includes(errnoOf(error) ?? '')) throw error;
      return `declared output "${output.name}" cannot be read (${errnoOf(error)})`;
    });
    if (typeof result === 'string') collected.problems.push({ output: output.name, message: result });
    else collected.stored.push({ name: output.name, type: output.type, ...result });
    // kill point: finish/output-stored
  }
  return collected;
}

function isAbsent(error: unknown): false {
  if (errnoOf(error) === 'ENOENT') return false;
  throw error;
}

/** What the storage refuses comes as a GoldfishError; these are the output's own. */
const UNREADABLE = ['EACCES', 'EPERM', 'ELOOP', 'ENOTDIR'];

async function storeOne(
  deps: StoreDeps,
  { output, path }: { output: PlannedOutput; path: string },
): Promise<StoredContent | string> {
  const fileName = signalFileName(output.name, output.type);
  const stat = await lstat(path).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (!stat) return `declared output "${output.name}" is missing: nothing was written to ${fileName}`;
  if (output.type === 'directory') {
    if (!stat.isDirectory()) return `declared output "${output.name}" is not a folder`;
    const stored = await storeFolder(deps, path);
    return typeof stored === 'string' ? `declared output "${output.name}": ${stored}` : stored;
  }
  if (!stat.isFile()) return `declared output "${output.name}" is not a regular file`;
  const unreadable = await formatProblem(path, output.type, stat.size);
  if (unreadable) return `declared output "${output.name}" ${unreadable}`;
  return storeFile(deps, path);
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
