import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { firstDifference, mask, readCommands } from '../../scripts/readme-commands.ts';
import { assetPath } from '../../src/core/assets.ts';

describe('the commands of a README', () => {
  it('are read from console fences with the output below each', () => {
    const text = 'a\n```console\n$ one\nout\n$ two\n```\n```json\n$ three\n```\n';
    expect(readCommands(text)).toEqual([
      { line: 3, command: 'one', expected: ['out'] },
      { line: 5, command: 'two', expected: [] },
    ]);
  });

  it('may stand in no other fence, where nobody would check them', () => {
    expect(() => readCommands('```bash\nls\n```')).toThrow('README.md:1: use a `console` fence');
  });

  it('of our README include the two of a fresh machine', () => {
    const commands = readCommands(readFileSync(assetPath('README.md'), 'utf8')).map((read) => read.command);
    expect(commands).toContain('npm ci && npm run demo');
    expect(commands.some((command) => /^(\w+=\S+ )*npm test$/.test(command))).toBe(true);
  });

  it('are compared with ids, times and durations masked, and nothing else', () => {
    expect(mask('stage-0123456789ab  took 1.5 s')).toBe('stage-ID took DURATION');
    expect(firstDifference(['a', 'v2'], ['a', 'v2'])).toBeUndefined();
    expect(firstDifference(['a', 'v2'], ['a', 'v3'])).toBe('expected "v2", got "v3"');
    expect(firstDifference(['…', 'end'], ['x', 'y', 'end'])).toBeUndefined();
    expect(firstDifference(['…', 'end'], ['x', 'y'])).toBe('expected "end", got "no such line"');
    expect(firstDifference(['a'], ['a', 'more'])).toBe('unexpected line "more"');
  });
});
