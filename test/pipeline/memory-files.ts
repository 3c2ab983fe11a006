import { expect } from 'vitest';
import type { Problem } from '../../src/config/problem.ts';
import { profileBook } from '../../src/config/profiles.ts';
import { BUILT_IN_MONITORS } from '../../src/core/monitors.ts';
import type { FileReader } from '../../src/pipeline/file-reader.ts';
import { loadPipeline } from '../../src/pipeline/load-pipeline.ts';
import type { PipelineLookups } from '../../src/pipeline/pipeline.ts';

/** A workspace in memory. */
export function memoryFiles(files: Record<string, string>): FileReader {
  return {
    list: async () => Object.keys(files),
    read: async (path) => files[path] ?? null,
  };
}

/** A project with the built-in profiles, one of its own, and two versions of one dataset. */
export const LOOKUPS: PipelineLookups = {
  backends: ['auto', 'process', 'docker'],
  profiles: profileBook({
    gce: null,
    profiles: {
      big: {
        description: null,
        backend: 'docker',
        memoryBytes: 8 * 1024 ** 3,
        cpus: 8,
        gpus: 1,
        pidsLimit: 500,
        network: 'bridge',
        image: 'my/big',
        pricePerHour: null,
      },
    },
  }),
  datasets: {
    has: (name, version) => name === 'digits' && (version === null || version <= 2),
    names: () => ['digits'],
  },
  monitors: BUILT_IN_MONITORS,
};

/** A command that needs no module, for stages that are not about that. */
export const RUN = 'command: [run]';

/**
 * What is said about a workspace whose pipeline.yaml has these stages, each as
 * `file:line «the word pointed at» message`.
 */
export async function problemsOf(stages: string, more: Record<string, string> = {}): Promise<string[]> {
  const texts: Record<string, string> = { 'pipeline.yaml': `stages:\n${stages}`, ...more };
  const { pipeline, problems } = await loadPipeline({ files: memoryFiles(texts), lookups: LOOKUPS });
  expect(pipeline === null).toBe(problems.length > 0);
  expect(problems.filter(({ hint }) => hint === undefined)).toEqual([]);
  return problems.map((problem) => pointed(problem, texts));
}

export function pointed(problem: Problem, texts: Record<string, string>): string {
  const line = texts[problem.file]?.split('\n')[problem.line - 1] ?? '';
  const [word] = /^[^\s,:]*/.exec(line.slice(problem.column - 1)) ?? [];
  return `${problem.file}:${problem.line} «${word}» ${problem.message}`;
}
