import { appendFile, mkdir, mkdtemp, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LINE_BYTES, listSegments, SEGMENT_BYTES } from '../../src/backends/log-format.ts';
import { appendLog, type LogLine, readLog, readLogTail, tailLog } from '../../src/backends/log-segments.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'goldfish-log-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const NOW = Date.parse('2026-11-21T22:00:00.123Z');
const record = (text: string, letter = 'o', flag = ' ', time = '2026-11-21T22:00:00.123Z'): string =>
  `${time} ${letter}${flag} ${text}\n`;
const segment = (start: number): string => join(dir, `${`${start}`.padStart(12, '0')}.log`);
const texts = (lines: readonly LogLine[]): string[] => lines.map((line) => line.text);

/** Every line by cursor, in pages of the given size. */
async function readAll(limits: { limitLines?: number; limitBytes?: number } = {}): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for (let cursor = 0; ; ) {
    const page = await readLog({ dir, cursor, ...limits });
    lines.push(...page.lines);
    cursor = page.nextOffset;
    if (!page.more) return lines;
  }
}

describe('reading', () => {
  it('answers nothing where there is no log', async () => {
    const nowhere = join(dir, 'nothing');
    expect(await readLog({ dir: nowhere })).toEqual({ lines: [], nextOffset: 0, more: false });
    expect(await readLog({ dir: nowhere, cursor: 99 })).toEqual({ lines: [], nextOffset: 0, more: false });
    expect(await readLogTail({ dir: nowhere, lines: 5 })).toEqual({ lines: [], nextOffset: 0 });
  });

  it('gives stream, text, time and offset of each line', async () => {
    await writeFile(
      segment(0),
      record('out') + record('err ü', 'e') + record('pip', 'b') + record('cut', 'o', '+') + record(''),
    );
    const { lines, nextOffset, more } = await readLog({ dir });
    const time = '2026-11-21T22:00:00.123Z';
    expect(lines).toEqual([
      { stream: 'stdout', text: 'out', time, offset: 0 },
      { stream: 'stderr', text: 'err ü', time, offset: 32 },
      { stream: 'build', text: 'pip', time, offset: 67 },
      { stream: 'stdout', text: 'cut', time, offset: 99, partial: true },
      { stream: 'stdout', text: '', time, offset: 131 },
    ]);
    expect({ nextOffset, more }).toEqual({ nextOffset: 160, more: false });
    for (const line of lines) {
      expect((await readLog({ dir, cursor: line.offset, limitLines: 1 })).lines).toEqual([line]);
    }
  });

  it('does not return a line before it is finished, and then returns it once', async () => {
    const whole = record('zwölf 🐟');
    const cut = Buffer.from(whole).subarray(0, Buffer.byteLength(whole) - 3);
    await writeFile(segment(0), Buffer.concat([Buffer.from(record('first')), cut]));
    const page = await readLog({ dir });
    expect(texts(page.lines)).toEqual(['first']);
    expect(page.more).toBe(false);
    expect((await readLog({ dir, cursor: page.nextOffset })).lines).toEqual([]);
    await appendFile(segment(0), Buffer.from(whole).subarray(cut.length));
    expect(texts((await readLog({ dir, cursor: page.nextOffset })).lines)).toEqual(['zwölf 🐟']);
  });

  it('reads 100,000 lines over several segments in chunks, each exactly once', async () => {
    let start = 0;
    for (let part = 0; part < 5; part += 1) {
      const content = Array.from({ length: 20_000 }, (_, i) => record(`line ${part * 20_000 + i}`)).join('');
      await writeFile(segment(start), content);
      start += content.length;
    }
    for (const limits of [
      { limitLines: 777 },
      { limitBytes: 50_000, limitLines: 1e6 },
      { limitLines: 1e6, limitBytes: 1e9 },
    ]) {
      expect(texts(await readAll(limits))).toEqual(Array.from({ length: 100_000 }, (_, i) => `line ${i}`));
    }
  });

  it('returns at least one line, however small the limit', async () => {
    await writeFile(segment(0), record('x'.repeat(10_000)) + record('y'));
    const page = await readLog({ dir, limitBytes: 1 });
    expect(texts(page.lines)).toEqual(['x'.repeat(10_000)]);
    expect(page.more).toBe(true);
  });

  it('filters by stream, substring and time, and moves the cursor past what it left out', async () => {
    const later = '2026-11-21T23:00:00.000Z';
    await writeFile(
      segment(0),
      record('a.c') +
        record('abc', 'e') +
        record('a.c late', 'o', ' ', later) +
        record('last', 'e', ' ', later),
    );
    expect(texts((await readLog({ dir, stream: 'stderr' })).lines)).toEqual(['abc', 'last']);
    const page = await readLog({ dir, grep: 'a.c' });
    expect(texts(page.lines)).toEqual(['a.c', 'a.c late']);
    expect((await readLog({ dir, cursor: page.nextOffset })).lines).toEqual([]);
    expect(texts((await readLog({ dir, since: later })).lines)).toEqual(['a.c late', 'last']);
    expect(texts(await tailLog({ dir, lines: 1, stream: 'stdout' }))).toEqual(['a.c late']);
  });

  it('says where a flood pushed lines out, and goes on after them', async () => {
    await writeFile(segment(0), record('first'));
    await writeFile(segment(1_000), record('later'));
    const page = await readLog({ dir });
    expect(page).toMatchObject({ gap: { from: 34, to: 1_000 }, nextOffset: 1_034, more: false });
    expect(texts(page.lines)).toEqual(['first', 'later']);
    await unlink(segment(0));
    expect(await readLog({ dir, cursor: 10 })).toMatchObject({
      gap: { from: 10, to: 1_000 },
      nextOffset: 1_034,
    });
  });

  it('moves a cursor inside a line to the next line, and one beyond the end back to the end', async () => {
    await writeFile(segment(0), `${record('one')}${record('two')}unfinished`);
    expect(texts((await readLog({ dir, cursor: 5 })).lines)).toEqual(['two']);
    expect(await readLog({ dir, cursor: 1_000_000 })).toEqual({ lines: [], nextOffset: 64, more: false });
    expect(await readLog({ dir, cursor: Number.MAX_SAFE_INTEGER })).toMatchObject({ nextOffset: 64 });
    for (const cursor of [-1, 0.5, Number.NaN, Infinity]) {
      await expect(readLog({ dir, cursor })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });

  it('treats CRLF as one line end, and shows bytes that are no record as they are', async () => {
    await writeFile(segment(0), `${record('windows\r')}damaged\n${record('\r')}`);
    const { lines } = await readLog({ dir });
    expect(lines.map(({ text, stream, time }) => [text, stream, time !== ''])).toEqual([
      ['windows', 'stdout', true],
      ['damaged', 'stdout', false],
      ['', 'stdout', true],
    ]);
  });

  it('ignores other files in the folder', async () => {
    await writeFile(segment(0), record('x'));
    await writeFile(join(dir, 'notes.log'), 'x');
    await mkdir(join(dir, 'folder'));
    expect(texts(await readAll())).toEqual(['x']);
  });
});

describe('the tail', () => {
  it('is the last lines, with the cursor for what follows, over segments and blocks', async () => {
    const first = Array.from({ length: 3_000 }, (_, i) => record(`a${i} ${'ü'.repeat(100)}`)).join('');
    await writeFile(segment(0), first);
    const start = Buffer.byteLength(first);
    await writeFile(segment(start), `${record('b0')}${record('b1')}unfin`);
    const { lines, nextOffset } = await readLogTail({ dir, lines: 4 });
    expect(texts(lines).map((text) => text.split(' ')[0])).toEqual(['a2998', 'a2999', 'b0', 'b1']);
    expect(nextOffset).toBe(start + 62);
    const all = await readLog({ dir, limitLines: 1e6, limitBytes: 1e9 });
    expect(await tailLog({ dir, lines: 1e6 })).toEqual(all.lines);
    expect(await readLogTail({ dir, lines: 0 })).toEqual({ lines: [], nextOffset });
  });

  it('equals the end of everything, whatever the lines are', async () => {
    const line = fc.record({
      text: fc.string({ unit: 'grapheme', maxLength: 2_000 }),
      stream: fc.constantFrom('stdout' as const, 'build' as const),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { maxLength: 30 }),
        fc.nat(40),
        fc.integer({ min: 1, max: 5 }),
        async (entries, count, limitLines) => {
          await rm(dir, { recursive: true, force: true });
          for (const { text, stream } of entries) await appendLog({ dir, stream, texts: [text], now: NOW });
          const all = await readAll({ limitLines });
          expect(await tailLog({ dir, lines: count })).toEqual(count === 0 ? [] : all.slice(-count));
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('appending', () => {
  it('writes records the reader gives back, and cuts long lines between characters', async () => {
    const long = 'é🐟'.repeat(8_000);
    await appendLog({ dir, stream: 'build', texts: ['Collecting x', long, 'two\nlines\n', ''], now: NOW });
    const lines = await readAll();
    const pieces = lines.slice(1, -3);
    expect(lines[0]).toEqual({
      stream: 'build',
      text: 'Collecting x',
      time: '2026-11-21T22:00:00.123Z',
      offset: 0,
    });
    expect(texts(pieces).join('')).toBe(long);
    expect(pieces.map((piece) => piece.partial ?? false)).toEqual([
      ...Array(pieces.length - 1).fill(true),
      false,
    ]);
    expect(Math.max(...pieces.map((piece) => Buffer.byteLength(piece.text)))).toBeLessThanOrEqual(LINE_BYTES);
    expect(texts(lines.slice(-3))).toEqual(['two', 'lines', '']);
  });

  it('begins a new segment where one is full', async () => {
    const line = 'x'.repeat(16_000);
    for (let i = 0; i < 3; i += 1)
      await appendLog({ dir, stream: 'build', texts: Array(600).fill(line), now: NOW });
    const segments = await listSegments(dir);
    expect(segments.length).toBe(3);
    for (const [index, { start }] of segments.entries()) {
      expect(start - (segments[index - 1]?.start ?? 0)).toBeLessThanOrEqual(SEGMENT_BYTES);
    }
    expect(await readAll({ limitLines: 100 })).toHaveLength(1_800);
  });

  it('drops a record that a dead writer left half written', async () => {
    await writeFile(segment(0), `${record('whole')}2026-11-21T22:00:00.123Z b  ha`);
    await appendLog({ dir, stream: 'build', texts: ['next'], now: NOW });
    expect(texts(await readAll())).toEqual(['whole', 'next']);
  });

  it('hides user and password in addresses', async () => {
    await appendLog({
      dir,
      stream: 'build',
      texts: ['Looking in https://me:pass%40w@host.example/simple, http://a@b'],
      now: NOW,
    });
    expect(texts(await readAll())).toEqual(['Looking in https://***@host.example/simple, http://***@b']);
  });
});
