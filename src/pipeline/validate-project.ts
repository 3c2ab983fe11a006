import { type Problem, sortProblems } from '../config/problem.ts';
import type { FileReader } from './file-reader.ts';
import { listPipelines } from './find-pipeline.ts';
import { loadPipeline } from './load-pipeline.ts';
import type { PipelineLookups } from './pipeline.ts';

type WorkspaceRequest = {
  files: FileReader;
  /** Only this one; absent: every pipeline of the workspace. */
  pipeline?: string | undefined;
  lookups?: PipelineLookups;
};

/** Every problem of a workspace's pipelines and stage configs. Errors: INVALID_ARGUMENT for an unknown pipeline. */
export async function validateWorkspace(request: WorkspaceRequest): Promise<Problem[]> {
  const all = listPipelines(await request.files.list()).map(({ name }) => name);
  // With none at all the reader says so; it is asked for the default.
  const names = request.pipeline !== undefined || all.length === 0 ? [request.pipeline] : all;
  const problems: Problem[] = [];
  for (const pipeline of names) problems.push(...(await loadPipeline({ ...request, pipeline })).problems);
  return sortProblems(problems);
}
