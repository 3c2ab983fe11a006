import { GoldfishError } from '../core/errors.ts';
import { canonicalJson, isJsonObject, type Json, type JsonObject } from '../core/json.ts';
import type { PipelineRun, StageRun } from '../core/rows.ts';
import { metricSummaries } from '../store/metrics.ts';
import { getPipelineRun } from '../store/pipeline-runs.ts';
import { runsOfPipelineRun } from '../store/stage-runs.ts';
import type { RunsDeps } from './deps.ts';
import { showNumber } from './downsample.ts';
import { findRun } from './find.ts';

export type Compared = {
  id: string;
  workspace: string;
  version: number;
  state: string;
  stages: { stage: string; runId: string; state: string; cached: boolean }[];
};

export type Difference<T> = {
  /** `train_knn.k`: stage and dotted key. */
  name: string;
  /** One value per compared ref, in their order; null where it is absent. */
  values: (T | null)[];
};

export type Comparison = {
  refs: Compared[];
  config: Difference<Json>[];
  metrics: (Difference<number | string> & { change: number | null })[];
  /** Metrics that are the same everywhere, by name. */
  sameMetrics: string[];
};

type Side = { head: PipelineRun | StageRun; runs: StageRun[] };

/**
 * What differs between runs or pipeline runs: config values and the last value of every metric, per stage.
 * `change` is the last ref's value minus the first's. Errors: RUN_NOT_FOUND, AMBIGUOUS_ID.
 */
export function compareRuns(deps: Pick<RunsDeps, 'db'>, refs: readonly string[]): Comparison {
  const sides = refs.map((ref) => sideOf(deps, ref));
  const ids = sides.map((side) => side.head.id);
  if (new Set(ids).size !== ids.length) {
    throw new GoldfishError('INVALID_ARGUMENT', {
      message: 'The same run is named twice.',
      hint: 'Name 2 to 20 different runs or pipeline runs.',
      details: { field: 'refs' },
    });
  }
  const config = differences(sides.map((side) => configOf(side.runs)));
  const metrics = differences(sides.map((side) => metricsOf(deps, side.runs)));
  const same = Object.keys(Object.assign({}, ...sides.map((side) => metricsOf(deps, side.runs))) as object);
  const differing = new Set(metrics.map((metric) => metric.name));
  return {
    refs: sides.map(({ head, runs }) => ({
      id: head.id,
      workspace: head.workspace,
      version: head.version,
      state: head.state,
      stages: runs.map((run) => ({
        stage: run.stage,
        runId: run.id,
        state: run.state,
        cached: run.cause === 'cached',
      })),
    })),
    config,
    metrics: metrics.map((metric) => ({ ...metric, change: changeOf(metric.values) })),
    sameMetrics: same.filter((name) => !differing.has(name)).sort(),
  };
}

function sideOf(deps: Pick<RunsDeps, 'db'>, ref: string): Side {
  const found = findRun(deps.db, ref);
  if (found.kind === 'run') return { head: found.run, runs: [found.run] };
  const head = getPipelineRun(deps.db, found.run.id) ?? found.run;
  return { head, runs: runsOfPipelineRun(deps.db, head.id) };
}

function configOf(runs: readonly StageRun[]): Record<string, Json> {
  return Object.fromEntries(runs.flatMap((run) => flatten(run.plan.config, run.stage)));
}

function flatten(value: JsonObject, prefix: string): [string, Json][] {
  return Object.entries(value).flatMap(([key, item]): [string, Json][] =>
    isJsonObject(item) && Object.keys(item).length > 0
      ? flatten(item, `${prefix}.${key}`)
      : [[`${prefix}.${key}`, item]],
  );
}

function metricsOf(deps: Pick<RunsDeps, 'db'>, runs: readonly StageRun[]): Record<string, number | string> {
  return Object.fromEntries(
    runs.flatMap((run) =>
      metricSummaries(deps.db, run.cachedFrom ?? run.id).map((metric): [string, number | string] => [
        `${run.stage}.${metric.name}`,
        showNumber(metric.last),
      ]),
    ),
  );
}

function differences<T extends Json>(sides: readonly Record<string, T>[]): Difference<T>[] {
  const names = new Set(sides.flatMap((side) => Object.keys(side)));
  return [...names].sort().flatMap((name) => {
    const values = sides.map((side) => (Object.hasOwn(side, name) ? (side[name] ?? null) : null));
    const distinct = new Set(values.map((value) => canonicalJson(value)));
    return distinct.size > 1 ? [{ name, values }] : [];
  });
}

function changeOf(values: readonly (number | string | null)[]): number | null {
  const first = values[0];
  const last = values.at(-1);
  if (typeof first !== 'number' || typeof last !== 'number') return null;
  return Number((last - first).toPrecision(12));
}
