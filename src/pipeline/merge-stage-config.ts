import { describe } from '../config/check-shape.ts';
import type { Locate, Path, Problem } from '../config/problem.ts';
import { deepMerge, isJsonObject, type Json, type JsonObject } from '../core/json.ts';
import { clip } from '../core/names.ts';
import type { StageConfigFile } from './pipeline.ts';

const MAX_DEPTH = 50;

/** A stage's config after the one merge, with the place of each value in whichever of the two it came from. */
export type MergedConfig = {
  merged: JsonObject;
  locate: Locate;
  plainAt: StageConfigFile['plainAt'];
  /** `configs/train.yaml:3` or `config_override`. */
  originOf(path: Path): string;
  problems: Problem[];
};

/** Merges an override over a stage's config file. What cannot be merged at all is a problem and leaves the file as it is. */
export function mergeStageConfig(request: {
  stage: string;
  file: StageConfigFile | undefined;
  override: Json | undefined;
}): MergedConfig {
  const { stage, file } = request;
  const problems = request.override === undefined ? [] : overrideProblems(stage, request.override);
  const override = problems.length === 0 && isJsonObject(request.override) ? request.override : {};
  const locate: Locate = (path, part) =>
    decides(override, path) || file === undefined ? inOverride(stage, path) : file.locate(path, part);
  return {
    merged: deepMerge(file?.value ?? {}, override),
    locate,
    plainAt: (path) => (decides(override, path) ? undefined : file?.plainAt(path)),
    originOf: (path) => {
      const place = locate(path, 'key');
      return place.line === 0 ? place.file : `${place.file}:${place.line}`;
    },
    problems,
  };
}

/** Whether the merged value at a path is the override's: it sets the value, or something around it that is no mapping. */
function decides(override: JsonObject, path: Path): boolean {
  let value: Json | undefined = override;
  for (const part of path) {
    if (!isJsonObject(value)) return true;
    if (!Object.hasOwn(value, part)) return false;
    value = value[part];
  }
  return true;
}

function inOverride(stage: string, path: Path): ReturnType<Locate> {
  return { file: 'config_override', line: 0, column: 0, path: clip([stage, ...path].join('.'), 200) };
}

/** What makes an override no config at all. The same rules hold for files, where the reader of YAML keeps them. */
function overrideProblems(stage: string, value: Json): Problem[] {
  if (!isJsonObject(value)) {
    const message = `The override of a stage must be a mapping, not ${describe(value)}.`;
    return [{ ...inOverride(stage, []), message, hint: 'Write { "<stage>": { "<key>": <value> } }.' }];
  }
  const problems: Problem[] = [];
  const visit = (item: Json, path: Path): void => {
    if (typeof item !== 'object' || item === null || problems.length > 0) return;
    if (path.length > MAX_DEPTH) {
      const message = `The values are nested more than ${MAX_DEPTH} levels deep.`;
      problems.push({ ...inOverride(stage, path), message, hint: 'Flatten the structure.' });
      return;
    }
    for (const [key, child] of Object.entries(item)) {
      const at = [...path, key];
      if (key === '__proto__') {
        const message = 'The key "__proto__" is not allowed.';
        problems.push({ ...inOverride(stage, at), message, hint: 'Use another name.' });
      } else visit(child, at);
    }
  };
  visit(value, []);
  return problems;
}
