import { isGoldfishError } from '../../core/errors.ts';
import { attemptPrefix } from '../../pool/documents.ts';
import { pathExists, readResult } from '../attempt-files.ts';
import type { CallOptions, CleanupAnswer, RunHandle, StopRequest } from '../port.ts';
import { noteStop } from '../stop-request.ts';
import { isSending } from './is-sending.ts';
import type { GceDeps } from './options.ts';
import type { Puller } from './puller.ts';
import { removeTraces } from './remove-traces.ts';

/** After its grace a machine that says nothing of the end has so long to send what is left; then it goes itself. */
const OVERDUE_MS = 180_000;
/** Whoever asks is not kept longer than this by a bucket that does not answer; it goes on beside. */
const PATIENCE_MS = 250;
const AGAIN_MS = 2_000;

type Asked = { dueAt: number; request: StopRequest; delivery: Promise<void> | undefined };

/** Asks attempts to end. One per process: it remembers when it first asked. */
export type Stopper = {
  terminate(handle: RunHandle, request: StopRequest): Promise<void>;
  forget(handle: Pick<RunHandle, 'runId' | 'attempt'>): void;
};

export function createStopper(deps: GceDeps): Stopper {
  const asked = new Map<string, Asked>();
  return {
    terminate: async (handle, request) => {
      const folders = deps.layout.attempt(handle.runId, handle.attempt);
      if (!(await pathExists(folders.dir)) || (await readResult(folders, handle))?.kind === 'read') return;
      const { graceSeconds, reason, because } = await note(deps, handle, request);
      const { pool } = await deps.rented();
      const found = pool.find(handle);
      const job = found?.job;
      // One that no machine has begun is called off when it is released.
      if (job === undefined || job.outcome !== null || job.claimedAt === null) return;
      // It bounds that itself, by the limit of its job.
      if (found !== undefined && isSending(found.worker)) return;
      const one = remember(asked, deps, { handle, graceSeconds });
      if (deps.clock.monotonic() >= one.dueAt) {
        await pool.release({ runId: handle.runId, attempt: handle.attempt, ended: false });
        return;
      }
      one.request = { graceSeconds, reason, ...(because === undefined ? {} : { because }) };
      one.delivery ??= deliver(deps, handle, one).finally(() => {
        one.delivery = undefined;
      });
      await Promise.race([one.delivery, deps.clock.sleep(PATIENCE_MS)]);
    },
    forget: (handle) => {
      asked.delete(attemptPrefix(handle));
    },
  };
}

/** For whoever has to say why it ended, where the machine cannot. A disk that is full keeps nobody from being stopped. */
async function note(deps: GceDeps, handle: RunHandle, request: StopRequest): Promise<StopRequest> {
  try {
    const folders = deps.layout.attempt(handle.runId, handle.attempt);
    const { graceSeconds, reason, because } = await noteStop(deps.clock, folders, request);
    return { graceSeconds, reason, ...(because === undefined ? {} : { because }) };
  } catch (error) {
    deps.log.warn({ run: handle.runId, err: error }, 'a request to stop could not be written down');
    return request;
  }
}

function remember(
  asked: Map<string, Asked>,
  { clock }: GceDeps,
  { handle, graceSeconds }: { handle: RunHandle; graceSeconds: number },
): Asked {
  const dueAt = clock.monotonic() + graceSeconds * 1000 + OVERDUE_MS;
  const before = asked.get(attemptPrefix(handle));
  const one: Asked = before ?? { dueAt, request: { graceSeconds, reason: 'cancel' }, delivery: undefined };
  one.dueAt = Math.min(one.dueAt, dueAt);
  asked.set(attemptPrefix(handle), one);
  return one;
}

/** Until the request is in the bucket, or the machine's time is over. Never throws. */
async function deliver(deps: GceDeps, handle: RunHandle, one: Asked): Promise<void> {
  const key = `${attemptPrefix(handle)}control-in/stop.json`;
  for (;;) {
    const sent = one.request;
    try {
      const { bucket } = await deps.rented();
      await bucket.put(key, Buffer.from(JSON.stringify(sent)));
      // kill point: send/stop-written
      if (sent === one.request) return;
    } catch (error) {
      deps.log.warn({ run: handle.runId, err: error }, 'a request to stop could not be handed over yet');
      if (deps.clock.monotonic() >= one.dueAt) return;
      await deps.clock.sleep(AGAIN_MS);
    }
  }
}

/**
 * Takes the attempt from its machine and removes what is left of it in the bucket. `unconfirmed` as long as a machine that
 * may still run it is not gone, and where the bucket does not answer.
 */
export async function cleanUpAttempt(
  deps: GceDeps & { puller: Puller; stopper: Stopper },
  handle: RunHandle,
  call: CallOptions = {},
): Promise<CleanupAnswer> {
  const { runId, attempt } = handle;
  const folders = deps.layout.attempt(runId, attempt);
  const { pool, bucket } = await deps.rented();
  const ended = (await readResult(folders, handle))?.kind === 'read';
  await pool.release({ runId, attempt, ended }, call);
  // kill point: rent/released
  const found = pool.find(handle);
  const isHeld = found !== undefined && found.job.outcome !== 'called_off' && found.job.outcome !== 'done';
  if (isHeld && found.worker.state !== 'gone') return 'unconfirmed';
  // It has ended, and what it made is not here yet.
  if (found?.job.outcome === 'done' && !ended) return 'unconfirmed';
  deps.puller.forget(handle);
  deps.stopper.forget(handle);
  try {
    await removeTraces(bucket, attemptPrefix(handle), call);
    // kill point: rent/traces-removed
    return 'released';
  } catch (error) {
    if (!isGoldfishError(error)) throw error;
    deps.log.warn({ run: runId, err: error }, 'what is left of a run in the bucket could not be removed yet');
    return 'unconfirmed';
  }
}
