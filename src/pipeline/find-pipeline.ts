import { unknownName } from '../config/check-shape.ts';
import type { Problem } from '../config/problem.ts';
import { GoldfishError } from '../core/errors.ts';
import { isName } from '../core/names.ts';

/** A pipeline by the name callers use; the file at the root is called `pipeline`. */
export type PipelineFile = { name: string; file: string };

const DEFAULT: PipelineFile = { name: 'pipeline', file: 'pipeline.yaml' };
const NAMED = /^pipelines\/([^/]+)\.yaml$/;

/** Every pipeline among the files of a workspace, the default one first. */
export function listPipelines(paths: readonly string[]): PipelineFile[] {
  const named = paths.flatMap((file) => {
    const name = NAMED.exec(file)?.[1];
    return name !== undefined && isName(name) ? [{ name, file }] : [];
  });
  named.sort((a, b) => (a.file < b.file ? -1 : 1));
  return paths.includes(DEFAULT.file) ? [DEFAULT, ...named] : named;
}

/**
 * The pipeline a call means: `pipelines/<name>.yaml`, or pipeline.yaml where it names none.
 * A workspace without that default has a problem, not a bad call. Errors: INVALID_ARGUMENT for an unknown name.
 */
export function findPipeline(paths: readonly string[], name: string | undefined): PipelineFile | Problem {
  const all = listPipelines(paths);
  if (name === undefined) return all[0]?.file === DEFAULT.file ? DEFAULT : noDefault(paths, all);
  const found = all.findLast((candidate) => candidate.name === name);
  if (found !== undefined) return found;
  const { message, hint, allowed } = unknownName(
    'pipeline',
    name,
    all.map((candidate) => candidate.name),
  );
  throw new GoldfishError('INVALID_ARGUMENT', { message, hint, details: { field: 'pipeline', allowed } });
}

function noDefault(paths: readonly string[], all: readonly PipelineFile[]): Problem {
  const place = { file: DEFAULT.file, line: 0, column: 0 };
  if (paths.includes('pipeline.yml')) {
    return { ...place, message: 'There is no pipeline.yaml.', hint: 'Rename pipeline.yml to pipeline.yaml.' };
  }
  if (all.length === 0) {
    const hint = 'Write pipeline.yaml at the top of the slot, with the stages and the signals between them.';
    return { ...place, message: 'The workspace has no pipeline.', hint };
  }
  const allowed = all.map((candidate) => candidate.name);
  const hint = `Name one with "pipeline": ${allowed.slice(0, 10).join(', ')}.`;
  return { ...place, message: 'There is no pipeline.yaml, only pipelines with names.', hint, allowed };
}
