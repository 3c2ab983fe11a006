import type { InputOrigin, PlannedInput } from '../core/stage-plan.ts';
import { requireSource } from '../data/delete-source.ts';
import type { ResolvedInput, ResolvedStage } from '../pipeline/resolve-pipeline.ts';
import type { RunsDeps } from './deps.ts';
import { earlierOrigin, type Search } from './earlier-input.ts';
import { type InputOverride, overriddenOrigin } from './override-input.ts';

/** By stage and input. */
export type InputsOverride = Readonly<Record<string, Readonly<Record<string, InputOverride>>>>;

/**
 * Where every input of a stage comes from, pinned: what the call says, a stage of the call, a version of a dataset,
 * or the newest completed run of its producer. Errors: as of `overriddenOrigin` and `earlierOrigin`.
 */
export async function resolveInputs(
  search: Search & { deps: Pick<RunsDeps, 'db' | 'sources'> },
  stage: ResolvedStage,
  given: { override: InputsOverride; store: boolean },
): Promise<PlannedInput[]> {
  const inputs: PlannedInput[] = [];
  for (const input of stage.inputs) {
    const origin = await originOf(search, { stage: stage.name, input }, given);
    inputs.push({ name: input.name, type: input.type, origin });
  }
  return inputs;
}

async function originOf(
  search: Search & { deps: Pick<RunsDeps, 'db' | 'sources'> },
  { stage, input }: { stage: string; input: ResolvedInput },
  { override, store }: { override: InputsOverride; store: boolean },
): Promise<InputOrigin> {
  const { name, type, from } = input;
  const value = input.overridden ? override[stage]?.[name] : undefined;
  if (value !== undefined) return overriddenOrigin(search.deps, { stage, input, value }, { store });
  if ('dataset' in from) {
    const source = requireSource(search.deps.db, from.dataset, from.version ?? undefined);
    return { kind: 'source', name: source.name, version: source.version, hash: source.hash };
  }
  if (input.inCall) return { kind: 'stage', ...from };
  return earlierOrigin(search, { stage, input: name, type, from });
}
