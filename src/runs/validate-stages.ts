import type { Problem } from '../config/problem.ts';
import { isGoldfishError } from '../core/errors.ts';
import type { FileReader } from '../pipeline/file-reader.ts';
import { listPipelines } from '../pipeline/find-pipeline.ts';
import { loadPipeline } from '../pipeline/load-pipeline.ts';
import type { Pipeline } from '../pipeline/pipeline.ts';
import { type ResolvedStage, resolvePipeline } from '../pipeline/resolve-pipeline.ts';
import { type Misfit, misfitsOf } from './check-fit.ts';
import type { RunsDeps } from './deps.ts';
import { pipelineLookups } from './lookups.ts';
import { type GivenCompute, giver } from './settle-compute.ts';

type Deps = Pick<RunsDeps, 'backends' | 'config' | 'settings' | 'db'>;

/**
 * What stages ask for and their backends cannot give, with the place that asks. A backend that cannot run work just
 * now is no fault of the files: that is a note. Pipelines with problems of their own are left to those.
 */
export async function validateStages(
  deps: Deps,
  request: { files: FileReader; pipeline?: string | undefined },
): Promise<{ problems: Problem[]; notes: Problem[] }> {
  const lookups = pipelineLookups(deps);
  const all = listPipelines(await request.files.list()).map(({ name }) => name);
  const names = request.pipeline === undefined ? all : [request.pipeline];
  const give = giver(deps);
  const problems: Problem[] = [];
  const notes: Problem[] = [];
  for (const name of names) {
    const { pipeline } = await loadPipeline({ files: request.files, lookups, pipeline: name });
    if (pipeline === null) continue;
    const { defaults } = deps.config;
    for (const stage of resolvePipeline({ pipeline, lookups, defaults, settings: deps.settings })) {
      const given = await give(stage.compute).catch((error: unknown) => noteOf(error, pipeline, stage));
      if ('message' in given) notes.push(given);
      else problems.push(...problemsOf({ pipeline, stage, given }));
    }
  }
  return { problems, notes };
}

function noteOf(error: unknown, pipeline: Pipeline, stage: ResolvedStage): Problem {
  if (!isGoldfishError(error)) throw error;
  const { message, hint } = error;
  const place = placeOf(pipeline, stage, { file: 'config', path: ['compute', 'backend'] });
  return { ...place, message, ...(hint === undefined ? {} : { hint }) };
}

function problemsOf(judged: { pipeline: Pipeline; stage: ResolvedStage; given: GivenCompute }): Problem[] {
  const { pipeline, stage, given } = judged;
  return misfitsOf(stage.name, stage.compute, given).map(({ at, message, hint }) => ({
    ...placeOf(pipeline, stage, at),
    message,
    hint,
  }));
}

/** Where the stage asks for it; for what its profile or the defaults ask, the nearest thing of the stage. */
function placeOf(pipeline: Pipeline, stage: ResolvedStage, at: Misfit['at']) {
  const config = pipeline.configs.get(stage.name);
  if (at.file === 'pipeline' || config === undefined) {
    return pipeline.locate(stage.name, at.file === 'pipeline' ? at.path : ['name']);
  }
  return config.locate(at.path, 'key');
}
