import type { Clock } from '../core/clock.ts';
import { canonicalJson } from '../core/json.ts';
import { type Registered, type RegisterRequest, registerSource, type SourceDeps } from './register-source.ts';

/** Bytes; `size` is 0 until the data have been looked over. */
export type CopyProgress = { copied: number; size: number };
export type PatientOutcome = Registered | { inProgress: CopyProgress };

type Work = {
  result: Promise<Registered>;
  abort: AbortController;
  /** Calls that wait for it now. */
  waiting: number;
  at: CopyProgress;
  /** When it ended, on the monotonic clock. */
  endedAt?: number;
};

/** For so long the same call is given what an earlier one made; after that it means the data as they are then. */
const REMEMBERED_MS = 5 * 60_000;

/**
 * Registrations that outlast a call: who does not want to wait any longer gets `inProgress`, the work goes on in this
 * process, and the same call again joins it or, within some minutes, is given its result. A death of the process ends it; nothing is left.
 */
export function patientRegistrations(deps: SourceDeps & { clock: Clock }) {
  const going = new Map<string, Work>();

  const begin = (request: RegisterRequest): Work => {
    const abort = new AbortController();
    const at: CopyProgress = { copied: 0, size: 0 };
    const progress = (now: CopyProgress): void => {
      Object.assign(at, now);
    };
    const result = registerSource(deps, request, { signal: abort.signal, progress });
    const work: Work = { result, abort, waiting: 0, at };
    const end = (): void => {
      work.endedAt = deps.clock.monotonic();
    };
    // Somebody asks for it later, or nobody does.
    result.then(end, end);
    return work;
  };

  const forgetOld = (): void => {
    const now = deps.clock.monotonic();
    for (const [key, { endedAt }] of going) {
      if (endedAt !== undefined && now - endedAt > REMEMBERED_MS) going.delete(key);
    }
  };

  return {
    /** Errors: as `registerSource`; an aborted call ends the work unless another one waits for it too. */
    register: async (
      request: RegisterRequest,
      call: { waitMs: number; signal: AbortSignal; progress?: (at: CopyProgress) => void },
    ): Promise<PatientOutcome> => {
      forgetOld();
      const key = canonicalJson(request);
      const work = going.get(key) ?? begin(request);
      going.set(key, work);
      work.waiting += 1;
      const stop = (): void => {
        if (work.waiting === 1) work.abort.abort();
      };
      call.signal.addEventListener('abort', stop, { once: true });
      const done = new AbortController();
      const settled = work.result.then(
        () => true,
        () => true,
      );
      try {
        const over = await Promise.race([settled, waiting(deps.clock, work, { ...call, done: done.signal })]);
        if (!over && !call.signal.aborted) return { inProgress: { ...work.at } };
        if (!work.abort.signal.aborted) call.signal.throwIfAborted();
        going.delete(key);
        return await work.result;
      } finally {
        work.waiting -= 1;
        done.abort();
        call.signal.removeEventListener('abort', stop);
      }
    },
    /** Ends what is going on. */
    close: async (): Promise<void> => {
      const all = [...going.values()];
      for (const work of all) work.abort.abort();
      await Promise.allSettled(all.map((work) => work.result));
    },
  };
}

const REPORT_EVERY_MS = 1_000;

/** Resolves to false when the patience is over. */
async function waiting(
  clock: Clock,
  work: Work,
  call: { waitMs: number; signal: AbortSignal; done: AbortSignal; progress?: (at: CopyProgress) => void },
): Promise<false> {
  const deadline = clock.monotonic() + call.waitMs;
  const signal = AbortSignal.any([call.signal, call.done]);
  for (let left = call.waitMs; left > 0 && !signal.aborted; left = deadline - clock.monotonic()) {
    await clock.sleep(Math.min(left, REPORT_EVERY_MS), { signal });
    if (!signal.aborted) call.progress?.({ ...work.at });
  }
  return false;
}
