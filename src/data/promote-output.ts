import type { Clock } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import { clip, requireName } from '../core/names.ts';
import type { StageRun } from '../core/rows.ts';
import { nearest } from '../core/suggest.ts';
import type { Db } from '../store/database.ts';
import { outputsOfRun } from '../store/signals.ts';
import { addVersion, type Registered } from './register-source.ts';

export type PromoteRequest = { run: StageRun; output: string; name: string; description: string };

/**
 * Makes a stored output a source, without copying: both name the same content. Of a reused run the one that did the
 * work is recorded. Errors: INVALID_ARGUMENT for an unknown output, CONFLICT where the run has none yet.
 */
export function promoteOutput(deps: { db: Db; clock: Clock }, request: PromoteRequest): Registered {
  const { run, name, description } = request;
  requireName(name, 'source');
  const output = outputsOfRun(deps.db, run.id).find((candidate) => candidate.name === request.output);
  if (!output) throw noSuchOutput(deps.db, request);
  const { kind, hash, size, storageLocation } = output;
  const runId = run.cachedFrom ?? run.id;
  return addVersion(deps, {
    name,
    uri: `${runId}.${output.name}`,
    description,
    fingerprint: 'full',
    metadata: {},
    content: { kind, hash, size, storageLocation },
    from: { runId, signal: output.name },
  });
}

function noSuchOutput(db: Db, { run, output }: PromoteRequest): GoldfishError {
  if (run.state !== 'completed') {
    return new GoldfishError('CONFLICT', {
      message: `${run.id} is ${run.state}: only a completed run has outputs.`,
      hint: 'Wait for it, or name a run that has completed.',
      fix: { tool: 'inspect_run', arguments: { run_id: run.id } },
    });
  }
  const names = outputsOfRun(db, run.id).map(({ name }) => name);
  const near = nearest(output, names);
  return new GoldfishError('INVALID_ARGUMENT', {
    message: `${run.id} has no output "${clip(output)}".`,
    hint: near ? `Did you mean ${near}?` : `Its outputs: ${names.join(', ') || 'none'}.`,
    details: { field: 'output', allowed: names },
  });
}
