import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseMetricLine } from '../../src/runs/metric-line.ts';
import { type MetricsBatch, readMetrics } from '../../src/runs/metrics-file.ts';

const NOW = '2026-01-01T00:00:00.000Z';
let folder: string;
let files = 0;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'goldfish-metrics-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function newFile(content: string | Buffer = ''): string {
  files += 1;
  const file = join(folder, `${files}.jsonl`);
  writeFileSync(file, content);
  return file;
}

const read = (file: string, from = 0, final = false): Promise<MetricsBatch> =>
  readMetrics(file, from, { now: NOW, final });
const values = (batch: MetricsBatch): number[] => batch.points.map((point) => point.value);
const numberOf = (text: string): number | undefined =>
  parseMetricLine(`{"name":"x","value":${text}}`, NOW).point?.value;

describe('one line of metrics', () => {
  it.each([
    ['1', 1],
    ['-0.25e3', -250],
    ['1e999', Number.POSITIVE_INFINITY],
    ['"1.5"', 1.5],
    ['" 2e-3 "', 0.002],
    ['".5"', 0.5],
    ['true', 1],
    ['false', 0],
    ['NaN', Number.NaN],
    ['"NaN"', Number.NaN],
    ['"nan"', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['-Infinity', Number.NEGATIVE_INFINITY],
    ['"inf"', Number.POSITIVE_INFINITY],
    ['"-inf"', Number.NEGATIVE_INFINITY],
    ['"+Infinity"', Number.POSITIVE_INFINITY],
  ])('reads the value %s', (text, value) => {
    expect(numberOf(text)).toBe(value);
  });

  it.each(['null', '"high"', '""', '"0x10"', '"1,5"', '[1]', '{}'])(
    'is no metric with the value %s',
    (text) => {
      expect(numberOf(text)).toBeUndefined();
    },
  );

  it.each([
    '',
    'epoch 3: loss 0.5',
    '[1,2]',
    '42',
    'null',
    '{"name":"x"',
    '{"value":1}',
    '{"name":7,"value":1}',
  ])('is nothing where it reads %j', (line) => {
    expect(parseMetricLine(line, NOW)).toEqual({ point: undefined, progress: null, message: null });
  });

  it('leaves a bare word inside of text alone', () => {
    const text = 'said "loss: NaN, grad:Infinity}" \\\\';
    const line = `{"name":"x","value":NaN,"message":${JSON.stringify(text)},"step":-Infinity}`;
    const { message, point } = parseMetricLine(line, NOW);
    expect(point?.value).toBeNaN();
    expect(message).toBe(text);
  });

  it('takes a step as it is, negative or broken, and none where it is no number', () => {
    const stepOf = (step: string): number | null | undefined =>
      parseMetricLine(`{"name":"x","value":1,"step":${step}}`, NOW).point?.step;
    expect(['0', '-3', '2.5', '"7"', 'null', '1e999'].map(stepOf)).toEqual([0, -3, 2.5, null, null, null]);
  });

  it('takes a time in seconds, in milliseconds or as text, and now where it is senseless', () => {
    const timeOf = (time: string): string | undefined =>
      parseMetricLine(`{"name":"x","value":1,"time":${time}}`, NOW).point?.loggedAt;
    const at = '2026-01-02T03:04:05.000Z';
    expect(['1767323045', '1767323045000', `"${at}"`].map(timeOf)).toEqual([at, at, at]);
    expect(['"soon"', '1e300', 'null', '{}'].map(timeOf)).toEqual([NOW, NOW, NOW, NOW]);
  });

  it('keeps progress between 0 and 1', () => {
    expect(parseMetricLine('{"progress":1.7}', NOW).progress).toBe(1);
    expect(parseMetricLine('{"progress":-1}', NOW).progress).toBe(0);
    expect(parseMetricLine('{"progress":"NaN"}', NOW).progress).toBeNull();
  });

  it('refuses a name longer than 128 characters and a line longer than 64 KiB', () => {
    const named = (length: number) =>
      parseMetricLine(`{"name":"${'n'.repeat(length)}","value":1}`, NOW).point;
    expect(named(128)).toMatchObject({ name: 'n'.repeat(128), value: 1 });
    expect(named(129)).toBeUndefined();
    expect(
      parseMetricLine(`{"name":"x","value":1,"pad":"${'p'.repeat(65_536)}"}`, NOW).point,
    ).toBeUndefined();
  });

  it('is read in no time, however many quotes never end', () => {
    const from = performance.now();
    parseMetricLine(`{"a":NaN,"b":"${'\\\\"'.repeat(20_000)}`, NOW);
    parseMetricLine(`{"a":NaN,"b":"${'\\"'.repeat(30_000)}`, NOW);
    expect(performance.now() - from).toBeLessThan(1_000);
  });

  it('never throws, whatever it reads', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (line) => {
        const { progress } = parseMetricLine(line, NOW);
        expect(progress === null || (progress >= 0 && progress <= 1)).toBe(true);
      }),
    );
  });
});

describe('a metrics file', () => {
  it('is read past garbage, which is counted', async () => {
    const file = newFile('{"name":"x","value":1}\nTraceback\n\n{"name":"x"}\n{"name":"x","value":2}\n');
    const batch = await read(file);
    expect(values(batch)).toEqual([1, 2]);
    expect(batch).toMatchObject({ ignored: 2, more: false });
  });

  it('is read past bytes that are no text', async () => {
    const file = newFile(
      Buffer.concat([Buffer.from([0xff, 0xfe, 0x00, 0x0a]), Buffer.from('{"name":"x","value":1}\n')]),
    );
    expect(values(await read(file))).toEqual([1]);
  });

  it('keeps duplicates and the order in which lines were written, whatever their steps', async () => {
    const lines = [3, 1, 2, 2, 2].map((step) => JSON.stringify({ name: 'x', value: step * 10, step }));
    const batch = await read(newFile(`${lines.join('\n')}\n`));
    expect(batch.points.map((point) => point.step)).toEqual([3, 1, 2, 2, 2]);
  });

  it('keeps a torn last line for the next time, and takes it once it is whole', async () => {
    const file = newFile('{"name":"x","value":1}\n{"name":"x","va');
    const first = await read(file);
    expect(values(first)).toEqual([1]);
    expect(first.to).toBe(23);
    appendFileSync(file, 'lue":2}\n');
    expect(values(await read(file, first.to))).toEqual([2]);
  });

  it('takes a last line without a newline once the program has ended, and passes over a torn one', async () => {
    const whole = await read(newFile('{"name":"x","value":1}\n{"name":"x","value":2}'), 0, true);
    expect(values(whole)).toEqual([1, 2]);
    const torn = await read(newFile('{"name":"x","value":1}\n{"name":"x","va'), 0, true);
    expect(values(torn)).toEqual([1]);
    expect(torn).toMatchObject({ to: 38, ignored: 1 });
  });

  it('gives every line once, however it is written and read in between', async () => {
    const line = fc.oneof(
      fc.record({ name: fc.constant('x'), value: fc.integer() }).map((entry) => JSON.stringify(entry)),
      fc.constantFrom('', 'garbage', '{"progress":0.5}', '{"name":"é","value":"NaN"}'),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { maxLength: 12 }),
        fc.array(fc.nat(60), { maxLength: 12 }),
        fc.boolean(),
        async (lines, cuts, closed) => {
          const text = Buffer.from(lines.join('\n') + (closed ? '\n' : ''));
          const file = newFile();
          const points: MetricsBatch['points'] = [];
          let written = 0;
          let at = 0;
          for (const [index, length] of [...cuts, text.length].entries()) {
            appendFileSync(file, text.subarray(written, written + length));
            written += length;
            const batch = await read(file, at, index === cuts.length);
            points.push(...batch.points);
            at = batch.to;
          }
          expect(at).toBe(text.length);
          expect(points).toEqual((await read(newFile(text), 0, true)).points);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('is read from its start where it has become shorter', async () => {
    const file = newFile('{"name":"x","value":1}\n'.repeat(3));
    const { to } = await read(file);
    writeFileSync(file, '{"name":"x","value":9}\n');
    const again = await read(file, to);
    expect(values(again)).toEqual([9]);
    expect(again.to).toBe(23);
  });

  it('is read in batches of a mebibyte that end at a line', async () => {
    const pad = 'p'.repeat(60_000);
    const lines = Array.from({ length: 40 }, (_, value) => JSON.stringify({ name: 'x', value, pad }));
    const file = newFile(`${lines.join('\n')}\n`);
    const seen: number[] = [];
    let batches = 0;
    for (let from = 0, more = true; more; batches += 1) {
      const batch = await read(file, from);
      seen.push(...values(batch));
      from = batch.to;
      more = batch.more;
    }
    expect(seen).toEqual(lines.map((_, value) => value));
    expect(batches).toBe(3);
  });

  it('costs a look no more memory than there is to read in it, and none where nothing is new', async () => {
    const line = '{"name":"x","value":1}\n';
    const file = newFile(line);
    const alloc = vi.spyOn(Buffer, 'alloc');
    try {
      const { to } = await read(file);
      const taken = () => alloc.mock.calls.reduce((sum, [size]) => sum + size, 0);
      expect(to).toBe(line.length);
      expect(taken()).toBe(line.length);
      for (let look = 0; look < 3; look += 1) expect((await read(file, to)).to).toBe(to);
      expect(taken()).toBe(line.length);
      appendFileSync(file, line);
      expect(values(await read(file, to))).toEqual([1]);
      // The byte before tells whether a line begins here.
      expect(taken()).toBe(2 * line.length + 1);
    } finally {
      alloc.mockRestore();
    }
  });

  it('is read past a line longer than a batch, which is counted once', async () => {
    const file = newFile(`{"name":"x","value":1}\n${'z'.repeat(2_500_000)}\n{"name":"x","value":2}\n`);
    const seen: number[] = [];
    let ignored = 0;
    for (let from = 0, more = true; more; ) {
      const batch = await read(file, from);
      seen.push(...values(batch));
      ignored += batch.ignored;
      from = batch.to;
      more = batch.more;
    }
    expect(seen).toEqual([1, 2]);
    expect(ignored).toBe(1);
  });

  it('is nothing where it is missing, a folder, or a link', async () => {
    const target = newFile('{"name":"x","value":1}\n');
    const link = join(folder, 'link.jsonl');
    symlinkSync(target, link);
    const directory = join(folder, 'directory.jsonl');
    mkdirSync(directory);
    for (const path of [join(folder, 'none'), join(target, 'below'), link, directory]) {
      expect(await read(path)).toMatchObject({ points: [], to: 0, more: false });
    }
  });
});
