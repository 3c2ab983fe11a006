import { readYaml } from '../config/yaml-file.ts';
import type { YamlNode } from '../config/yaml-node.ts';
import { isJsonObject } from '../core/json.ts';
import { formatVersion } from '../core/names.ts';
import { listPipelines } from '../pipeline/find-pipeline.ts';
import type { Workspaces } from '../workspaces/workspaces.ts';

/** A stage whose definition names a source, in the newest version of a workspace. */
export type PipelineConsumer = {
  workspace: string;
  version: string;
  pipeline: string;
  stage: string;
  input: string;
};

const PAGE = 100;

/**
 * Stages of the newest versions that read a source. The text itself is asked, so that a pipeline with problems counts
 * too. A file that is no YAML names nothing.
 */
export async function pipelineConsumers(
  workspaces: Pick<Workspaces, 'list' | 'version' | 'files'>,
  source: string,
): Promise<PipelineConsumer[]> {
  const found: PipelineConsumer[] = [];
  for (let cursor = ''; ; ) {
    const page = workspaces.list({ limit: PAGE, cursor });
    for (const { name, newest } of page.workspaces) {
      if (newest > 0) found.push(...(await consumersIn(workspaces, { workspace: name, source })));
    }
    if (page.nextCursor === null) return found;
    cursor = page.nextCursor;
  }
}

async function consumersIn(
  workspaces: Pick<Workspaces, 'version' | 'files'>,
  of: { workspace: string; source: string },
): Promise<PipelineConsumer[]> {
  const version = workspaces.version(of.workspace);
  const files = workspaces.files(version);
  const found: PipelineConsumer[] = [];
  for (const { name: pipeline, file } of listPipelines(await files.list())) {
    const text = (await files.read(file)) ?? '';
    // Most pipelines name no source: they need not be parsed.
    if (!text.includes(of.source)) continue;
    for (const { stage, input, dataset } of datasetInputs(readYaml(file, text).root)) {
      if (dataset !== of.source && !dataset.startsWith(`${of.source}@`)) continue;
      const at = { workspace: of.workspace, version: formatVersion(version.version) };
      found.push({ ...at, pipeline, stage, input });
    }
  }
  return found;
}

function datasetInputs(root: YamlNode | null): { stage: string; input: string; dataset: string }[] {
  const stages = isJsonObject(root?.value) ? root.value['stages'] : undefined;
  if (!Array.isArray(stages)) return [];
  return stages.flatMap((stage) => {
    if (!isJsonObject(stage) || !isJsonObject(stage['inputs'])) return [];
    const name = typeof stage['name'] === 'string' ? stage['name'] : '?';
    return Object.entries(stage['inputs']).flatMap(([input, signal]) => {
      const dataset = isJsonObject(signal) ? signal['dataset'] : undefined;
      return typeof dataset === 'string' ? [{ stage: name, input, dataset }] : [];
    });
  });
}
