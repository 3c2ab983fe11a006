import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../core/errors.ts';

/**
 * The log of one attempt: segments `<first byte offset>.log` of records
 * `2026-11-21T22:00:00.123Z o  text\n` (time, stream, flag, text). runtime/wrapper_log.py writes the same format and
 * a test keeps the two together. A cursor is an absolute byte offset over all segments.
 */
export const SEGMENT_BYTES = 16 * 1024 * 1024;
/** A program's line longer than this is cut into several records. */
export const LINE_BYTES = 16 * 1024;
/** Time (24), space, stream, flag, space. */
const PREFIX_BYTES = 28;
const RECORD_PREFIX = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([oeb])([ +]) $/;
const STREAM_NAMES: Record<string, LogStream> = { o: 'stdout', e: 'stderr', b: 'build' };
const NEWLINE = 10;
const CARRIAGE_RETURN = 13;

export type LogStream = 'stdout' | 'stderr' | 'build';

/** `partial`: the program's line goes on in the stream's next line. `offset` is a cursor at this very line. */
export type LogLine = { stream: LogStream; text: string; time: string; offset: number; partial?: true };

export type LogFilter = {
  stream?: LogStream | undefined;
  /** A plain substring. */
  grep?: string | undefined;
  /** ISO 8601 UTC with milliseconds; earlier lines are left out. */
  since?: string | undefined;
};

export type Segment = { start: number; file: string };

/** Segments in order; none where there is no log. */
export async function listSegments(dir: string): Promise<Segment[]> {
  let names: string[];
  try {
    names = await readdir(dir);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
  return names
    .filter((name) => /^\d{12,}\.log$/.test(name))
    .map((name) => ({ start: Number(name.slice(0, -'.log'.length)), file: join(dir, name) }))
    .sort((a, b) => a.start - b.start);
}

export type Block =
  | { kind: 'bytes'; bytes: Buffer }
  /** A flood pushed out what was here; the log goes on at `to`. */
  | { kind: 'gap'; to: number }
  /** Nothing (yet) at this offset; the log's last byte is before `end`. */
  | { kind: 'end'; end: number };

/** Up to `size` bytes at an absolute offset, from one segment. */
export async function readBlock(dir: string, offset: number, size: number): Promise<Block> {
  for (;;) {
    const segments = await listSegments(dir);
    const segment = segments.findLast((candidate) => candidate.start <= offset);
    const next = segments.find((candidate) => candidate.start > offset);
    if (!segment) return next ? { kind: 'gap', to: next.start } : { kind: 'end', end: 0 };
    const handle = await openSegment(segment.file);
    // The writer dropped it since it was listed: look again.
    if (!handle) continue;
    try {
      const bytes = await readAt(handle, offset - segment.start, size);
      if (bytes.length > 0) return { kind: 'bytes', bytes };
      if (next) return { kind: 'gap', to: next.start };
      return { kind: 'end', end: segment.start + (await handle.stat()).size };
    } finally {
      await handle.close();
    }
  }
}

/** Undefined where the segment is gone. */
export async function openSegment(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, 'r');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

export async function readAt(handle: FileHandle, position: number, size: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(size);
  const { bytesRead } = await handle.read(buffer, 0, size, position);
  return buffer.subarray(0, bytesRead);
}

export type RawRecord = { bytes: Buffer; offset: number };

/** The records that end within a block which begins at a record; the rest of the block is not finished yet. */
export function* splitRecords(block: Buffer, offset: number): Generator<RawRecord> {
  let begin = 0;
  for (let end = block.indexOf(NEWLINE); end !== -1; end = block.indexOf(NEWLINE, begin)) {
    yield { bytes: block.subarray(begin, end), offset: offset + begin };
    begin = end + 1;
  }
}

/** Bytes that are no record (a damaged disk) are shown as they are, as stdout without a time. */
export function parseRecord(record: RawRecord): LogLine {
  const prefix = RECORD_PREFIX.exec(record.bytes.toString('latin1', 0, PREFIX_BYTES));
  const { offset } = record;
  if (!prefix) return { stream: 'stdout', text: record.bytes.toString('utf8'), time: '', offset };
  const partial = prefix[3] === '+';
  // CRLF is one line end; the CR of a cut line is text.
  const ends = record.bytes.at(-1) === CARRIAGE_RETURN && !partial && record.bytes.length > PREFIX_BYTES;
  const text = record.bytes.toString('utf8', PREFIX_BYTES, record.bytes.length - (ends ? 1 : 0));
  const line = { stream: STREAM_NAMES[prefix[2] ?? ''] ?? 'stdout', text, time: prefix[1] ?? '', offset };
  return partial ? { ...line, partial } : line;
}

export function passesFilter(line: LogLine, filter: LogFilter): boolean {
  if (filter.stream !== undefined && line.stream !== filter.stream) return false;
  if (filter.since !== undefined && line.time < filter.since) return false;
  return filter.grep === undefined || line.text.includes(filter.grep);
}
