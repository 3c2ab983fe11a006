import { describe } from '../config/check-shape.ts';
import { type Problem, problemList } from '../config/problem.ts';
import { readYaml } from '../config/yaml-file.ts';
import { descend } from '../config/yaml-node.ts';
import { isJsonObject } from '../core/json.ts';
import { clip } from '../core/names.ts';
import { nearest } from '../core/suggest.ts';
import type { FileReader } from './file-reader.ts';
import { listPipelines, type PipelineFile } from './find-pipeline.ts';
import type { PipelineLookups, StageConfigFile } from './pipeline.ts';
import { readStageConfig } from './stage-config.ts';

const CONFIG_FILE = /^configs\/([^/]+)\.(yaml|yml)$/;

type Request = {
  files: FileReader;
  paths: readonly string[];
  pipeline: PipelineFile;
  /** Names in the pipeline. */
  stages: readonly string[];
  /** False where some could not be read: nobody can say then which configs belong to no stage. */
  complete: boolean;
  lookups: PipelineLookups;
};

/** Reads `configs/<stage>.yaml` of the pipeline's stages, and reports configs that belong to no stage at all. */
export async function readConfigFiles(
  request: Request,
): Promise<{ configs: Map<string, StageConfigFile>; problems: Problem[] }> {
  const configs = new Map<string, StageConfigFile>();
  const problems: Problem[] = [];
  const stages = new Set(request.stages);
  for (const stage of stages) {
    const file = `configs/${stage}.yaml`;
    const text = request.paths.includes(file) ? await request.files.read(file) : null;
    if (text === null) continue;
    const read = readConfigFile(file, text, request.lookups);
    if (read.config) configs.set(stage, read.config);
    problems.push(...read.problems);
  }
  problems.push(...(await strayConfigs(request, stages)));
  return { configs, problems };
}

function readConfigFile(
  file: string,
  text: string,
  lookups: PipelineLookups,
): { config?: StageConfigFile; problems: Problem[] } {
  const yaml = readYaml(file, text);
  const { root, locate } = yaml;
  if (root === null) return { problems: yaml.problems };
  const problems = problemList();
  const value = root.value ?? {};
  if (!isJsonObject(value)) {
    const message = `A stage config must be a mapping of keys, not ${describe(value)}.`;
    problems.add(locate([]), { message, hint: 'Write "key: value" on each line.' });
    return { problems: [...yaml.problems, ...problems.found()] };
  }
  const plainAt: StageConfigFile['plainAt'] = (path) => {
    const { node, found } = descend(root, path);
    return found ? node.plain : undefined;
  };
  const config: StageConfigFile = { file, value, locate, plainAt };
  readStageConfig({ merged: value, locate, plainAt, problems, lookups });
  return { config, problems: [...yaml.problems, ...problems.found()] };
}

/** A config nobody reads is a mistake in its name; it may belong to a stage of another pipeline. */
async function strayConfigs(request: Request, stages: ReadonlySet<string>): Promise<Problem[]> {
  const candidates = request.paths.flatMap((file) => {
    const [, stage, extension] = CONFIG_FILE.exec(file) ?? [];
    const read = extension === 'yaml' && stage !== undefined && stages.has(stage);
    return stage === undefined || read ? [] : [{ file, stage, extension }];
  });
  if (candidates.length === 0 || !request.complete) return [];
  const others = await stagesOfOtherPipelines(request);
  if (others === undefined) return [];
  const known = new Set([...stages, ...others]);
  return candidates.flatMap(({ file, stage, extension }): Problem[] => {
    const place = { file, line: 1, column: 1 };
    if (known.has(stage)) {
      if (extension === 'yaml') return [];
      return [
        {
          ...place,
          message: 'Only configs that end in .yaml are read.',
          hint: `Rename it to ${stage}.yaml.`,
        },
      ];
    }
    const near = nearest(stage, known);
    const hint = near === undefined ? 'Remove it, or add the stage.' : `Did you mean configs/${near}.yaml?`;
    return [
      { ...place, message: `There is no stage "${clip(stage)}".`, hint, allowed: [...known].slice(0, 100) },
    ];
  });
}

/** Undefined where one of them cannot be read: then nothing can be said about stray configs. */
async function stagesOfOtherPipelines(request: Request): Promise<string[] | undefined> {
  const names: string[] = [];
  for (const { file } of listPipelines(request.paths)) {
    if (file === request.pipeline.file) continue;
    const root = readYaml(file, (await request.files.read(file)) ?? '').root?.value;
    const stages = isJsonObject(root) ? root['stages'] : undefined;
    if (!Array.isArray(stages)) return undefined;
    for (const stage of stages) {
      if (isJsonObject(stage) && typeof stage['name'] === 'string') names.push(stage['name']);
    }
  }
  return names;
}
