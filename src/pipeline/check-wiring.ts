import { unknownName } from '../config/check-shape.ts';
import type { Locate, Path, ProblemList } from '../config/problem.ts';
import { findCycle } from '../core/graph.ts';
import { clip, isName } from '../core/names.ts';
import type { SignalType } from '../core/signals.ts';
import { nearest } from '../core/suggest.ts';
import { type DatasetLookup, type DatasetSource, producerOf } from './pipeline.ts';
import type { InputDraft } from './read-inputs.ts';
import type { PipelineDraft, StageDraft } from './read-pipeline.ts';

type Wiring = {
  draft: PipelineDraft;
  locate: Locate;
  problems: ProblemList;
  /** Every file of the workspace. */
  paths: readonly string[];
  datasets: DatasetLookup;
};

/** Whether the stages fit together: names once, producers and datasets there, types equal, no cycle, modules there. */
export function checkWiring(wiring: Wiring): void {
  const stages = stagesByName(wiring);
  for (const stage of wiring.draft.stages) {
    for (const input of stage.inputs) checkInput(wiring, stages, input);
    checkModule(wiring, stage);
  }
  checkCycles(wiring, stages);
}

/** The type of an input: its own, else its producer's. */
export function inputType(
  stages: ReadonlyMap<string, StageDraft>,
  input: InputDraft,
): SignalType | undefined {
  const from = producerOf(input);
  return input.type ?? (from && stages.get(from.stage)?.outputs.get(from.signal));
}

function stagesByName({ draft, locate, problems }: Wiring): Map<string, StageDraft> {
  const stages = new Map<string, StageDraft>();
  for (const stage of draft.stages) {
    if (stage.name === undefined) continue;
    const first = stages.get(stage.name);
    if (first === undefined) {
      stages.set(stage.name, stage);
      continue;
    }
    const { line } = locate([...first.at, 'name']);
    problems.add(locate([...stage.at, 'name']), {
      message: `There is already a stage "${stage.name}", on line ${line}.`,
      hint: 'Give each stage a name of its own.',
    });
  }
  return stages;
}

function checkInput(wiring: Wiring, stages: ReadonlyMap<string, StageDraft>, input: InputDraft): void {
  const { locate, problems } = wiring;
  const from = producerOf(input);
  if (from === undefined) {
    if ('dataset' in input.from) checkDataset(wiring, input.at, input.from);
    return;
  }
  const producer = stages.get(from.stage);
  if (producer === undefined) {
    // A stage whose own name is refused is reported there; here it is unknown only because of that.
    if (!isName(from.stage) && wiring.draft.stages.some((stage) => stage.name === undefined)) return;
    problems.add(locate([...input.at, 'from_stage']), unknownName('stage', from.stage, [...stages.keys()]));
    return;
  }
  if (!producer.outputs.has(from.signal)) {
    if (!producer.outputsKnown) return;
    const known = unknownName('signal', from.signal, [...producer.outputs.keys()]);
    problems.add(locate([...input.at, 'signal']), {
      ...known,
      message: `The stage "${from.stage}" has no output "${clip(from.signal)}".`,
      hint: producer.outputs.size === 0 ? `"${from.stage}" declares no outputs.` : known.hint,
    });
    return;
  }
  const made = producer.outputs.get(from.signal);
  if (input.type === undefined || made === undefined || input.type === made) return;
  problems.add(locate([...input.at, 'type']), {
    message: `"${from.stage}" makes "${from.signal}" as ${made}, not as ${input.type}.`,
    hint: 'Leave the type out: it is that of the producer.',
    allowed: [made],
  });
}

function checkDataset({ locate, problems, datasets }: Wiring, at: Path, from: DatasetSource): void {
  if (datasets.has(from.dataset, from.version)) return;
  const place = locate([...at, 'dataset']);
  if (from.version !== null && datasets.has(from.dataset, null)) {
    const message = `The dataset "${from.dataset}" has no version v${from.version}.`;
    problems.add(place, { message, hint: `Write "${from.dataset}" for its newest version.` });
    return;
  }
  const known = unknownName('dataset', from.dataset, datasets.names());
  const hint = datasets.names().length === 0 ? 'Register it with register_source.' : known.hint;
  problems.add(place, { ...known, message: `The dataset "${from.dataset}" is not registered.`, hint });
}

function checkCycles({ locate, problems }: Wiring, stages: ReadonlyMap<string, StageDraft>): void {
  const needs = new Map(
    [...stages].map(([name, stage]) => [
      name,
      stage.inputs.flatMap((input) => producerOf(input)?.stage ?? []),
    ]),
  );
  for (let walk = findCycle(needs); walk !== undefined && !problems.full(); walk = findCycle(needs)) {
    const [start, next] = walk;
    const input = stages.get(start ?? '')?.inputs.find((item) => producerOf(item)?.stage === next);
    problems.add(locate([...(input?.at ?? []), 'from_stage']), {
      message: `The stages need each other in a circle: ${clip(walk.join(' → '), 300)}.`,
      hint: 'Take one of these inputs away, or split a stage in two.',
    });
    // Without the stages of this circle the next search finds another one, or none.
    for (const name of walk) needs.delete(name);
  }
}

/** `python -m modules.<name>` runs modules/<name>.py, or modules/<name>/__main__.py. */
function checkModule({ locate, problems, paths }: Wiring, stage: StageDraft): void {
  const named = stage.command?.[0] === 'python' && stage.command[1] === '-m' ? stage.command[2] : undefined;
  const module = stage.commandGiven ? named : `modules.${stage.name ?? ''}`;
  if (stage.name === undefined || module === undefined || !/^modules\.[^.]/.test(module)) return;
  const base = module.replaceAll('.', '/');
  if (paths.includes(`${base}.py`) || paths.includes(`${base}/__main__.py`)) return;
  const near = nearest(
    `${base}.py`,
    paths.filter((path) => /^modules\/[^/]+\.py$/.test(path)),
  );
  const instead = near === undefined ? 'or give the stage another command' : `or rename ${near}`;
  problems.add(locate([...stage.at, stage.commandGiven ? 'command' : 'name']), {
    message: `The module ${clip(base)}.py is missing.`,
    hint: `Write ${clip(base)}.py, ${instead}.`,
  });
}
