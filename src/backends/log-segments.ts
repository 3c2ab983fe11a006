import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { isoTime } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import {
  LINE_BYTES,
  type LogFilter,
  type LogLine,
  type LogStream,
  listSegments,
  openSegment,
  parseRecord,
  passesFilter,
  type RawRecord,
  readAt,
  readBlock,
  SEGMENT_BYTES,
  type Segment,
  splitRecords,
} from './log-format.ts';

/** Longer than any record, so that a block which begins at a record holds at least one unless it is unfinished. */
const BLOCK_BYTES = 256 * 1024;
/** One read looks at no more than this, so that a filter over a huge log cannot hold a caller up. */
const SCAN_BYTES = 32 * 1024 * 1024;
const NEWLINE = 10;

export type { LogLine, LogStream } from './log-format.ts';

export type LogPage = {
  lines: LogLine[];
  /** The cursor to go on with: after the last line looked at, whether or not it passed the filter. */
  nextOffset: number;
  /** Whether finished lines follow already. */
  more: boolean;
  /** The first bytes that a flood pushed out of the log before they were read. */
  gap?: { from: number; to: number };
};

export type ReadLogRequest = {
  dir: string;
  cursor?: number | undefined;
  limitBytes?: number | undefined;
  limitLines?: number | undefined;
} & LogFilter;

/**
 * Lines from `cursor` on: at most `limitLines` (default 1000) and `limitBytes` of log (default 256 KiB), but at
 * least one. A line still being written is not returned. A cursor inside a line moves on to the next line; one
 * beyond the end falls back to the end. Where there is no log there are no lines.
 * Errors: INVALID_ARGUMENT for a cursor that is no offset.
 */
export async function readLog(request: ReadLogRequest): Promise<LogPage> {
  const { dir, limitBytes = BLOCK_BYTES, limitLines = 1000 } = request;
  const first = await startOfRecord(dir, requireOffset(request.cursor ?? 0));
  const page: LogPage = { lines: [], nextOffset: first, more: false };
  let bytes = 0;
  let scannedFrom = first;
  for (;;) {
    const start = page.nextOffset;
    const block = await readBlock(dir, start, BLOCK_BYTES);
    if (block.kind === 'end') return page;
    if (block.kind === 'gap') {
      page.gap ??= { from: start, to: block.to };
      page.nextOffset = block.to;
      scannedFrom = block.to;
      continue;
    }
    for (const record of splitRecords(block.bytes, start)) {
      const full = page.lines.length > 0 && bytes + record.bytes.length > limitBytes;
      if (full || page.lines.length >= limitLines || record.offset - scannedFrom > SCAN_BYTES) {
        return { ...page, more: true };
      }
      page.nextOffset = record.offset + record.bytes.length + 1;
      const line = parseRecord(record);
      if (!passesFilter(line, request)) continue;
      page.lines.push(line);
      bytes += record.bytes.length;
    }
    // Only the unfinished beginning of a record is left.
    if (page.nextOffset === start) return page;
  }
}

/** The last `lines` lines that pass the filter. */
export async function tailLog(request: { dir: string; lines: number } & LogFilter): Promise<LogLine[]> {
  return (await readLogTail(request)).lines;
}

/** The same, read from the end, with the cursor for what comes after the last of them. */
export async function readLogTail(
  request: { dir: string; lines: number } & LogFilter,
): Promise<{ lines: LogLine[]; nextOffset: number }> {
  const found: LogLine[] = [];
  let nextOffset: number | undefined;
  for await (const record of recordsBackward(request.dir)) {
    nextOffset ??= record.offset + record.bytes.length + 1;
    if (found.length >= request.lines) break;
    const line = parseRecord(record);
    if (passesFilter(line, request)) found.push(line);
  }
  return { lines: found.reverse(), nextOffset: nextOffset ?? 0 };
}

async function* recordsBackward(dir: string): AsyncGenerator<RawRecord> {
  for (const segment of (await listSegments(dir)).reverse()) {
    const handle = await openSegment(segment.file);
    if (!handle) continue;
    try {
      let position = (await handle.stat()).size;
      let carry: Buffer = Buffer.alloc(0);
      while (position > 0) {
        const begin = Math.max(0, position - BLOCK_BYTES);
        const block = Buffer.concat([await readAt(handle, begin, position - begin), carry]);
        // The first record of the block may have begun before it: it waits for the next block.
        const whole = begin === 0 ? 0 : block.indexOf(NEWLINE) + 1;
        const records = [...splitRecords(block.subarray(whole), segment.start + begin + whole)];
        yield* records.reverse();
        carry = block.subarray(0, begin > 0 && whole === 0 ? block.length : whole);
        position = begin;
      }
    } finally {
      await handle.close();
    }
  }
}

function requireOffset(cursor: number): number {
  if (Number.isSafeInteger(cursor) && cursor >= 0) return cursor;
  throw new GoldfishError('INVALID_ARGUMENT', {
    message: 'The cursor is not one that logs returned.',
    hint: 'Leave it out to read from the start, or pass the cursor of the previous answer.',
    details: { field: 'cursor' },
  });
}

/** The offset itself where a record begins there, else where the next one begins. */
async function startOfRecord(dir: string, offset: number): Promise<number> {
  if (offset === 0) return 0;
  const block = await readBlock(dir, offset - 1, BLOCK_BYTES);
  if (block.kind === 'gap') return offset;
  if (block.kind === 'bytes') {
    const newline = block.bytes.indexOf(NEWLINE);
    return newline === -1 ? offset : offset + newline;
  }
  // Beyond the end: the machine lost the log's tail in a crash, or the cursor belongs to another run.
  return (await readLogTail({ dir, lines: 0 })).nextOffset;
}

const LETTERS = { stdout: 'o', stderr: 'e', build: 'b' } as const satisfies Record<LogStream, string>;

/**
 * Adds whole lines to an attempt's log before the run wrapper takes over. One writer at a time: the supervisor that
 * prepares the attempt. User and password in addresses are hidden. `now` is ms since the epoch.
 */
export async function appendLog(entry: {
  dir: string;
  stream: LogStream;
  texts: readonly string[];
  now: number;
}): Promise<void> {
  const { dir, stream, texts } = entry;
  const lines = texts.flatMap((text) =>
    hideCredentials(text)
      .replace(/\r?\n$/, '')
      .split('\n'),
  );
  const start = `${isoTime(entry.now)} ${LETTERS[stream]}`;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  for (let i = 0; i < lines.length; i += 1000) {
    const records = lines.slice(i, i + 1000).flatMap((line) => recordsOf(start, line));
    await appendTo(dir, (await listSegments(dir)).at(-1) ?? segmentAt(dir, 0), Buffer.concat(records));
  }
}

function recordsOf(start: string, line: string): Buffer[] {
  const pieces = cutLine(Buffer.from(line));
  return pieces.map((piece, i) =>
    Buffer.concat([Buffer.from(`${start}${i < pieces.length - 1 ? '+' : ' '} `), piece, Buffer.from('\n')]),
  );
}

function segmentAt(dir: string, start: number): Segment {
  return { start, file: join(dir, `${`${start}`.padStart(12, '0')}.log`) };
}

async function appendTo(dir: string, segment: Segment, data: Buffer): Promise<void> {
  const handle = await open(segment.file, 'a+', 0o600);
  try {
    const { size } = await handle.stat();
    if (size > 0 && size + data.length > SEGMENT_BYTES) {
      return await appendTo(dir, segmentAt(dir, segment.start + size), data);
    }
    if (size > 0 && (await readAt(handle, size - 1, 1))[0] !== NEWLINE) {
      // A writer died in the middle of a record. No reader has been given it, so it can go.
      await handle.truncate((await readLogTail({ dir, lines: 0 })).nextOffset - segment.start);
    }
    await handle.writeFile(data);
  } finally {
    await handle.close();
  }
}

/** Pieces of at most LINE_BYTES, cut between characters. */
function cutLine(line: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  let rest = line;
  while (rest.length > LINE_BYTES) {
    let cut = LINE_BYTES;
    while (cut > LINE_BYTES - 4 && ((rest[cut] ?? 0) & 0xc0) === 0x80) cut -= 1;
    pieces.push(rest.subarray(0, cut));
    rest = rest.subarray(cut);
  }
  return [...pieces, rest];
}

/** `https://user:word@host` → `https://***@host`, as pip prints the address of a private index. */
function hideCredentials(text: string): string {
  return text.replaceAll(/(:\/\/)[^/\s]+@/g, '$1***@');
}
