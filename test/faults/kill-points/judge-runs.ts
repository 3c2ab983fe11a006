import type { Cause } from '../../../src/core/causes.ts';
import type { JsonObject } from '../../../src/core/json.ts';
import type { StageRun } from '../../../src/core/rows.ts';
import { outputHash } from '../kit/executions.ts';
import type { Tally } from '../kit/tally.ts';
import { type Evidence, judgeRun } from '../kit/verdict.ts';
import { wrongProvenance } from './provenance.ts';

export type Judged = {
  evidence: Evidence;
  runs: readonly StageRun[];
  point: {
    scenario: string;
    causesBefore: readonly Cause[];
    mayNotHaveBegun: readonly number[];
  };
  batch: number;
  config: JsonObject;
  /** Absolute path of the slot, which has not been touched since. */
  slot: string;
  /** With the trial's name; undefined where nothing is wrong. */
  about: (why: string | undefined) => string | undefined;
};

/** Ends, executions, outputs and provenance of the runs of a trial. What was killed was at the first stage. */
export function judgeRuns({ evidence, runs, point, batch, config, slot, about }: Judged, tally: Tally): void {
  const isCanceled = point.scenario.startsWith('cancel');
  for (const run of runs) {
    const isFirst = run.position === 0;
    const broken = judgeRun(evidence, run, {
      cause: isCanceled ? 'user' : 'success',
      causesBefore: isFirst ? point.causesBefore : [],
      mayNotHaveBegun: isFirst ? point.mayNotHaveBegun : [],
      batch,
    });
    tally.count('right-end', about(broken['right-end']));
    tally.count('once', about(broken.once));
    if (!isCanceled) tally.count('outputs', about(broken.outputs));
    // The second stage reads what the first has made.
    const inputs = isFirst ? {} : { a: outputHash({ output: 'left', stage: 'one', batch }) };
    tally.count('provenance', about(wrongProvenance(evidence, run, { slot, config, inputs })));
  }
}
