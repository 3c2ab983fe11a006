import { type Problem, problemList, problemsError, sortProblems } from '../config/problem.ts';
import { profileBook } from '../config/profiles.ts';
import { BACKENDS } from '../config/schema.ts';
import { readYaml, type YamlFile } from '../config/yaml-file.ts';
import { checkWiring, inputType } from './check-wiring.ts';
import type { FileReader } from './file-reader.ts';
import { findPipeline, type PipelineFile } from './find-pipeline.ts';
import type { Pipeline, PipelineLookups, Stage, StageConfigFile, StageInput } from './pipeline.ts';
import { type PipelineDraft, readPipeline, type StageDraft } from './read-pipeline.ts';
import { readConfigFiles } from './stage-config-files.ts';

export type PipelineRequest = {
  files: FileReader;
  /** Name of a pipeline; pipeline.yaml where it is absent. */
  pipeline?: string | undefined;
  lookups?: PipelineLookups;
};

/** What is known without a project: for readers that only look at the files. */
const NO_LOOKUPS: PipelineLookups = {
  backends: BACKENDS,
  profiles: profileBook({ profiles: {}, gce: null }),
  datasets: { has: () => false, names: () => [] },
  monitors: null,
};

/**
 * Reads a pipeline with its stage configs and finds every problem at once; `pipeline` is null exactly where there
 * are any. Errors: INVALID_ARGUMENT where the call names a pipeline that is not there.
 */
export async function loadPipeline(
  request: PipelineRequest,
): Promise<{ pipeline: Pipeline | null; problems: Problem[] }> {
  const paths = await request.files.list();
  const found = findPipeline(paths, request.pipeline);
  if ('message' in found) return { pipeline: null, problems: [found] };
  const text = await request.files.read(found.file);
  const yaml = readYaml(found.file, text ?? '');
  const lookups = request.lookups ?? NO_LOOKUPS;
  const problems = problemList();
  // Without a root the text is no YAML; what it lacks could not be told from what could not be read.
  const draft = yaml.root === null ? undefined : readPipeline(yaml, problems);
  if (draft) checkWiring({ draft, locate: yaml.locate, problems, paths, datasets: lookups.datasets });
  const configs = await readConfigFiles({
    files: request.files,
    paths,
    pipeline: found,
    stages: draft?.stages.flatMap((stage) => stage.name ?? []) ?? [],
    complete: draft?.stages.length !== 0 && draft?.stages.every((stage) => stage.name !== undefined) === true,
    lookups,
  });
  const all = sortProblems([...yaml.problems, ...problems.found(), ...configs.problems]);
  const pipeline =
    draft && all.length === 0 ? assemble(draft, { found, yaml, configs: configs.configs }) : null;
  return { pipeline, problems: all };
}

/** As `loadPipeline`, for callers that can go on only with a whole one. Errors: INVALID_PIPELINE, INVALID_ARGUMENT. */
export async function requirePipeline(request: PipelineRequest): Promise<Pipeline> {
  const { pipeline, problems } = await loadPipeline(request);
  if (pipeline === null) throw problemsError('INVALID_PIPELINE', problems);
  return pipeline;
}

function assemble(
  draft: PipelineDraft,
  read: { found: PipelineFile; yaml: YamlFile; configs: ReadonlyMap<string, StageConfigFile> },
): Pipeline {
  const drafts = new Map(draft.stages.map((stage) => [stage.name ?? '', stage]));
  return {
    name: draft.name ?? read.found.name,
    file: read.found.file,
    description: draft.description,
    stages: [...drafts].map(([name, stage]) => assembleStage(name, stage, drafts)),
    configs: read.configs,
    locate: (stage, path) => read.yaml.locate([...(drafts.get(stage)?.at ?? []), ...path]),
  };
}

function assembleStage(name: string, draft: StageDraft, drafts: ReadonlyMap<string, StageDraft>): Stage {
  return {
    name,
    description: draft.description,
    command: draft.command ?? ['python', '-m', `modules.${name}`],
    image: draft.image,
    inputs: draft.inputs.flatMap((input): StageInput[] => {
      const type = inputType(drafts, input);
      return type === undefined ? [] : [{ name: input.name, type, from: input.from }];
    }),
    outputs: [...draft.outputs].flatMap(([output, type]) =>
      type === undefined ? [] : [{ name: output, type }],
    ),
    cache: draft.cache,
    retries: draft.retries,
  };
}
