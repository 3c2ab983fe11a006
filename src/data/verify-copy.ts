import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Source } from '../core/rows.ts';
import { withSource } from './copy-source.ts';
import { changedWhileRead, type Survey, surveySource } from './survey-source.ts';

const CHUNK = 1 << 20;
const SAMPLE_BYTES = 64 * 1024;
const SAMPLES = 16;

/**
 * Compares a copy with what it was made from: `declared` believes the file system's sizes and times, `sample` reads
 * 16 blocks of each file again, `full` every byte. Errors: CONFLICT where they differ: somebody wrote meanwhile.
 */
export async function verifyCopy(copy: {
  from: string;
  into: string;
  survey: Survey;
  fingerprint: Source['fingerprint'];
  signal?: AbortSignal | undefined;
}): Promise<void> {
  const { from, into, survey, fingerprint, signal } = copy;
  const now = await surveySource(from, signal);
  if (JSON.stringify(now) !== JSON.stringify(survey))
    throw changedWhileRead('it is not what it was at first');
  if (fingerprint === 'declared') return;
  const buffers: [Buffer, Buffer] = [Buffer.allocUnsafe(CHUNK), Buffer.allocUnsafe(CHUNK)];
  for (const entry of survey.entries) {
    if (entry.kind !== 'file') continue;
    signal?.throwIfAborted();
    const equal = await withSource(join(from, entry.path), entry, (source) =>
      withFile(join(into, entry.path), (made) =>
        equalBlocks({ files: [source, made], buffers, blocks: blocksOf(entry.size, fingerprint), signal }),
      ),
    );
    if (!equal) throw changedWhileRead('the copy and the original differ');
  }
}

type Block = { position: number; length: number };

function* blocksOf(size: number, fingerprint: 'full' | 'sample'): Generator<Block> {
  if (fingerprint === 'full' || size <= SAMPLES * SAMPLE_BYTES) {
    for (let position = 0; position < size; position += CHUNK) yield { position, length: CHUNK };
    return;
  }
  for (let index = 0; index < SAMPLES; index += 1) {
    const position = Math.floor(((size - SAMPLE_BYTES) * index) / (SAMPLES - 1));
    yield { position, length: SAMPLE_BYTES };
  }
}

async function equalBlocks(compared: {
  files: [FileHandle, FileHandle];
  buffers: [Buffer, Buffer];
  blocks: Iterable<Block>;
  signal: AbortSignal | undefined;
}): Promise<boolean> {
  const [first, second] = compared.buffers;
  for (const block of compared.blocks) {
    compared.signal?.throwIfAborted();
    const lengths = await Promise.all([
      readBlock(compared.files[0], first, block),
      readBlock(compared.files[1], second, block),
    ]);
    if (lengths[0] !== lengths[1]) return false;
    if (first.compare(second, 0, lengths[1], 0, lengths[0]) !== 0) return false;
  }
  return true;
}

async function readBlock(file: FileHandle, buffer: Buffer, block: Block): Promise<number> {
  let read = 0;
  while (read < block.length) {
    const { bytesRead } = await file.read(buffer, read, block.length - read, block.position + read);
    if (bytesRead === 0) break;
    read += bytesRead;
  }
  return read;
}

async function withFile<T>(path: string, work: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, 'r');
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}
