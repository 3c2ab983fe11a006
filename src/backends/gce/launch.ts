import { GoldfishError } from '../../core/errors.ts';
import type { Acquired } from '../../pool/acquire.ts';
import { checkSpec } from '../check-spec.ts';
import { containerName } from '../container.ts';
import type { CallOptions, RunHandle, RunSpec } from '../port.ts';
import { deliverSecrets } from './deliver-secrets.ts';
import { jobRequest, profileOf } from './job-request.ts';
import { tellConsole } from './machine-console.ts';
import type { GceDeps } from './options.ts';
import { rentRefusal } from './rent-refusal.ts';
import { digestOf, rentedRuntimeSchema } from './runtime.ts';
import { uploadJob } from './upload-job.ts';
import { workerProgram } from './worker-program.ts';

/** Ranks of one run share one machine. */
export const MAX_RANKS = 64;

/**
 * Puts the job into the bucket, finds or rents a machine for it, and resolves when that has begun it: minutes where one
 * has to be rented. Interrupted and called again, it goes on where it was.
 * Errors: NOT_SUPPORTED, INVALID_CONFIG, INPUT_UNAVAILABLE, STORAGE_UNAVAILABLE; BACKEND_UNAVAILABLE, with
 * `details.no_capacity` where no machine was to be had; AbortError.
 */
export async function launchAttempt(
  deps: GceDeps,
  spec: RunSpec,
  { signal = new AbortController().signal }: CallOptions = {},
): Promise<RunHandle> {
  const profile = profileOf(deps, spec.profile);
  checkSpec(spec, { name: 'gce', maxNodes: MAX_RANKS, gpus: profile.profile.gpus });
  const runtime = rentedRuntimeSchema.parse(spec.runtime.data);
  refuseWithoutPython(spec, runtime.python);
  await uploadJob(deps, { spec, profile }, { signal });
  const { sha256: program } = await workerProgram();
  const request = jobRequest(deps, spec, { ...profile, program, digest: digestOf(runtime.reference) });
  const acquired = await withSecrets(deps, spec, {
    signal,
    acquire: async () => (await deps.rented()).pool.acquire(request, { signal }),
  });
  if (acquired.kind === 'canceled') {
    signal.throwIfAborted();
    throw interrupted();
  }
  if (acquired.kind === 'unfit') {
    const { workerId, why } = acquired;
    throw unfit(why, await tellConsole(deps, { runId: spec.runId, attempt: spec.attempt, workerId }));
  }
  if (acquired.kind === 'no_place')
    throw acquired.lasting ? rentRefusal(acquired.message, profile) : noCapacity(acquired.message);
  return handleOf(spec, acquired.workerId);
}

function handleOf(run: { runId: string; attempt: number }, worker: string): RunHandle {
  const { runId, attempt } = run;
  return { backend: 'gce', runId, attempt, externalId: containerName(run, 0), data: { worker } };
}

/** Secrets are handed over beside the search: which machine it is shows only then. */
async function withSecrets(
  deps: GceDeps,
  spec: RunSpec,
  { signal, acquire }: { signal: AbortSignal; acquire: () => Promise<Acquired> },
): Promise<Acquired> {
  if (Object.keys(spec.secrets).length === 0) return acquire();
  const begun = new AbortController();
  const delivery = deliverSecrets(deps, spec, AbortSignal.any([signal, begun.signal]));
  try {
    return await acquire();
  } finally {
    begun.abort();
    await delivery;
  }
}

function refuseWithoutPython(spec: RunSpec, python: boolean): void {
  const secrets = Object.keys(spec.secrets);
  if (python || (secrets.length === 0 && spec.resources.nodes === 1)) return;
  throw new GoldfishError('NOT_SUPPORTED', {
    message: `The ${spec.runtime.description} has no python3, without which a stage gets neither secrets nor several ranks.`,
    hint: 'Take an image with Python 3.8 or newer.',
    details: { secrets },
  });
}

function noCapacity(message: string): GoldfishError {
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: `No machine was to be had: ${message}`,
    hint: 'Name more zones in gce.zones, another profile, or a longer defaults.capacity_wait_seconds.',
    details: { no_capacity: true },
  });
}

/** `said`: a sentence on what the last of them wrote. */
function unfit(why: string, said: string | undefined): GoldfishError {
  const told = ['Machines come up and do not begin the run. Of the last one:', why, said];
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: told.filter((text) => text !== undefined).join(' '),
    hint: 'Read what they wrote in the log of the run; "When it does not work" in docs/gce.md says what it means.',
  });
}

function interrupted(): GoldfishError {
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: 'The launch was interrupted.',
    retryable: true,
  });
}
