import { describe, expect, it } from 'vitest';
import { buildProblem } from '../../../src/backends/docker/build-problem.ts';
import { baseImages, readInstructions } from '../../../src/backends/docker/dockerfile.ts';

const braced = (name: string): string => `$\{${name}}`;
const lines = (...text: string[]): string => text.join('\n');

describe('instructions of a Dockerfile', () => {
  it('are told with the line each begins on, comments and empty lines left out', () => {
    const text = lines('# about', 'FROM a', '', '  # indented', 'run echo 1', 'COPY . /x');
    expect(readInstructions(text)).toEqual([
      { line: 2, keyword: 'FROM', rest: 'a' },
      { line: 5, keyword: 'RUN', rest: 'echo 1' },
      { line: 6, keyword: 'COPY', rest: '. /x' },
    ]);
  });

  it('go on over continued lines, with comments and empty lines between', () => {
    const text = lines('FROM a', 'RUN one \\', '# still', '', '  && two \\  ', '  && three', 'RUN four');
    expect(readInstructions(text).map(({ line }) => line)).toEqual([1, 2, 7]);
    expect(readInstructions(text)[1]?.rest).toMatch(/^one\s+&& two\s+&& three$/);
  });

  it('may be continued with another sign', () => {
    const text = lines('# escape=`', 'FROM a', 'RUN dir `', '  c:\\', 'RUN two');
    expect(readInstructions(text).map(({ line }) => line)).toEqual([2, 3, 5]);
  });

  it('do not hide in here-documents', () => {
    const text = lines('FROM a', "RUN <<'EOF'", 'FROM no', 'EOF', 'RUN after');
    expect(readInstructions(text).map(({ keyword, line }) => [keyword, line])).toEqual([
      ['FROM', 1],
      ['RUN', 2],
      ['RUN', 5],
    ]);
  });

  it('may end with the file in the middle of a continuation', () => {
    expect(readInstructions('FROM a\nRUN x \\')).toHaveLength(2);
    expect(readInstructions('')).toEqual([]);
  });
});

describe('base images', () => {
  it('are those of FROM, without earlier stages and scratch', () => {
    const text = lines(
      'FROM --platform=linux/amd64 python:3.12 AS build',
      'FROM scratch',
      'FROM BUILD as again',
      'FROM again',
      'FROM debian@sha256:abc',
    );
    expect(baseImages(text)).toEqual([
      { image: 'python:3.12', line: 1 },
      { image: 'debian@sha256:abc', line: 5 },
    ]);
  });

  it('take the defaults of arguments', () => {
    const text = lines(
      'ARG TAG=3.12',
      'ARG BASE="python"',
      `FROM $BASE:${braced('TAG')}`,
      `FROM ${braced('NONE:-debian')}:12`,
    );
    expect(baseImages(text).map(({ image }) => image)).toEqual(['python:3.12', 'debian:12']);
  });

  it('are left out where nothing is known of them', () => {
    expect(baseImages('ARG BASE\nFROM $BASE\nRUN x')).toEqual([]);
  });
});

describe('a failed build', () => {
  const text = lines('ARG A=1', 'FROM a', '# c', 'RUN one \\', '  two', 'COPY x /x');
  const problem = (step: number | null, message: string): string =>
    buildProblem({ step, message, output: '' }, { file: 'Dockerfile', text }).message;

  it('is found by the number of its step, arguments before FROM counted too', () => {
    expect(problem(3, "The command '/bin/sh -c one two' returned a non-zero code: 7")).toBe(
      'Dockerfile:4:1: the command ended with exit code 7',
    );
    expect(problem(4, 'COPY failed: stat x: file does not exist')).toBe(
      'Dockerfile:6:1: COPY failed: stat x: file does not exist',
    );
  });

  it('is found by the line that is stated where no step had begun', () => {
    expect(problem(null, 'dockerfile parse error line 4: unknown instruction: RUNN')).toBe(
      'Dockerfile:4:1: unknown instruction: RUNN',
    );
    expect(problem(null, 'failed to parse Dockerfile: Dockerfile parse error on line 2: bad')).toBe(
      'Dockerfile:2:1: bad',
    );
    expect(problem(null, 'the Dockerfile cannot be empty')).toBe(
      'Dockerfile:1:1: the Dockerfile cannot be empty',
    );
  });

  it('is no fault of the file where the disk is full or the base cannot be fetched', () => {
    const full = buildProblem(
      { step: 3, message: 'write /x: no space left on device', output: '' },
      { file: 'D', text },
    );
    expect(full).toMatchObject({ code: 'STORAGE_UNAVAILABLE', retryable: true });
    const away = 'Get https://registry-1.docker.io/v2/: dial tcp: lookup registry-1.docker.io: no such host';
    const base = buildProblem({ step: 2, message: away, output: '' }, { file: 'D', text });
    expect(base).toMatchObject({ code: 'BACKEND_UNAVAILABLE', message: expect.stringContaining('"a"') });
  });
});
