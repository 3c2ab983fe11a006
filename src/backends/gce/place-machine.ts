import type { Clock } from '../../core/clock.ts';
import { isHandedOver } from '../../core/handed-over.ts';
import {
  classifyFailure,
  classifyOperation,
  type FailureClass,
  isComputeFailure,
} from './classify-failure.ts';
import type { ComputeCalls, InstanceBody, InstanceFacts, OperationFacts } from './compute-calls.ts';
import { requestIdOf } from './request-id.ts';

/** Pauses between two looks at what has no answer; each is twice the one before. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 15_000;
/** A request that fails for reasons that pass is repeated for so long, then another zone is tried. */
const PATIENCE_MS = 60_000;
/** A machine of which nothing is known for so long after its request is not coming. */
const OPERATION_MS = 10 * 60_000;
/** Nobody who gave a search up is kept longer than this by a service that does not answer. */
const TAKE_BACK_MS = 5_000;

const ENDED = 'The search was ended.';

export type PlaceAnswer =
  | { kind: 'created' }
  /** There is no machine of that name in the zone, nor will there be one. */
  | { kind: 'failed'; why: Exclude<FailureClass, 'exists' | 'passing'>; message: string }
  /** Nobody can say; it was asked not to come, unless the search is handed over. */
  | { kind: 'unclear'; message: string };

/** How long it is waited after the next refusal that passes. Each of a round through all places makes it longer. */
export type BackOff = { ms: number };

export function newBackOff(): BackOff {
  return { ms: FIRST_PAUSE_MS };
}

type Placing = {
  calls: ComputeCalls;
  clock: Clock;
  zone: string;
  body: InstanceBody;
  /** Of the place, among all that were tried for this machine. */
  number: number;
  backOff: BackOff;
  signal: AbortSignal;
};

/**
 * Asks for one machine in one zone and follows the request to its end: until the machine runs, or it is certain that
 * there is none. An abort ends whatever is waited for; what was asked for by then, heard or not, is taken
 * back, unless another supervisor goes on with the search.
 */
export async function placeMachine(placing: Placing): Promise<PlaceAnswer> {
  const asked = await ask(placing);
  if (asked.kind === 'asked') return follow(placing, asked.operation);
  return asked.kind === 'unclear' ? settle(placing, asked.message) : asked;
}

/** The operation, or what is known without one. */
async function ask(placing: Placing): Promise<PlaceAnswer | { kind: 'asked'; operation: OperationFacts }> {
  const { calls, clock, zone, body, number, backOff, signal } = placing;
  const requestId = requestIdOf('insert', body.name, zone, body.scheduling.provisioningModel, number);
  const since = clock.monotonic();
  for (;;) {
    try {
      const operation = await calls.insertInstance({ zone, requestId, body }, { signal });
      // kill point: machine/inserted
      return { kind: 'asked', operation };
    } catch (error) {
      // It is on its way, and may be carried out all the same.
      if (!isComputeFailure(error) && signal.aborted) return { kind: 'unclear', message: ENDED };
      if (!isComputeFailure(error)) throw error;
      const why = classifyFailure(error);
      const { message } = error;
      // Of an earlier request of ours, whose answer was lost.
      if (why === 'exists') return { kind: 'unclear', message };
      if (why !== 'passing') return { kind: 'failed', why, message };
      if (signal.aborted || clock.monotonic() - since >= PATIENCE_MS) return { kind: 'unclear', message };
      await clock.sleep(backOff.ms, { signal });
      backOff.ms = Math.min(2 * backOff.ms, LONGEST_PAUSE_MS);
    }
  }
}

/** Until the operation says how it ended, or the machine itself shows that it did. */
async function follow(placing: Placing, asked: OperationFacts): Promise<PlaceAnswer> {
  const { calls, clock, zone, signal } = placing;
  const since = clock.monotonic();
  let operation = asked;
  for (let pause = FIRST_PAUSE_MS; operation.status !== 'DONE'; ) {
    if (signal.aborted) return letGo(placing, ENDED);
    try {
      operation = await calls.waitOperation({ zone, operation: operation.name }, { signal });
      // kill point: machine/operation-seen
      pause = FIRST_PAUSE_MS;
      if (operation.status === 'DONE') break;
    } catch (error) {
      if (signal.aborted) continue;
      if (!isComputeFailure(error)) throw error;
      // Nobody knows of it any more: only the machine can tell.
      if (error.status === 404) return settle(placing, error.message);
      await clock.sleep(pause, { signal });
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    }
    if ((await find(placing))?.status === 'RUNNING') return { kind: 'created' };
    if (clock.monotonic() - since >= OPERATION_MS)
      return takeBack(placing, 'The request never came to an end.');
  }
  const errors = operation.error?.errors ?? [];
  if (errors.length === 0) return { kind: 'created' };
  const why = classifyOperation(errors, operation.httpErrorStatusCode);
  const message = errors.map((error) => error.message ?? error.code ?? 'no reason').join(' ');
  if (why === 'exists') return settle(placing, message);
  // An error of the service's own, once the request was taken, says nothing of other zones.
  return { kind: 'failed', why: why === 'passing' ? 'no_capacity' : why, message };
}

/**
 * Without an operation to follow: the machine is there and runs, or it is made sure that there is none. A request whose
 * answer was lost may still be on its way, so a machine is looked for for a while, and waited for where one is coming.
 */
async function settle(placing: Placing, message: string): Promise<PlaceAnswer> {
  const { clock, signal } = placing;
  const since = clock.monotonic();
  for (;;) {
    const found = await find(placing);
    if (found?.status === 'RUNNING') return { kind: 'created' };
    const limitMs = found !== undefined && isComing(found) ? OPERATION_MS : PATIENCE_MS;
    if (signal.aborted) return letGo(placing, message);
    if (clock.monotonic() - since >= limitMs) return takeBack(placing, message);
    await clock.sleep(FIRST_PAUSE_MS, { signal });
  }
}

function isComing({ status }: InstanceFacts): boolean {
  return status === 'PROVISIONING' || status === 'STAGING';
}

/** Undefined where it is not there, or cannot be seen now. */
async function find({ calls, zone, body, signal }: Placing): Promise<InstanceFacts | undefined> {
  try {
    return await calls.getInstance({ zone, name: body.name }, { signal });
  } catch (error) {
    if (isComputeFailure(error) || signal.aborted) return undefined;
    throw error;
  }
}

/** Nobody here waits any more. Who goes on with the search sends the same request again, and gets the same machine. */
async function letGo(placing: Placing, message: string): Promise<PlaceAnswer> {
  return isHandedOver(placing.signal) ? { kind: 'unclear', message } : takeBack(placing, message);
}

/**
 * Deletes what may be there. Whether it was is not waited for, and the answer not for long: the place stays written in the
 * machine's row, and the pool looks for it there, and deletes it there, until it is certain.
 */
async function takeBack(
  { calls, clock, zone, body, number }: Placing,
  message: string,
): Promise<PlaceAnswer> {
  const requestId = requestIdOf('take back', body.name, zone, number);
  const answered = new AbortController();
  const asking = calls.deleteInstance({ zone, name: body.name, requestId }).catch((error: unknown) => {
    if (!isComputeFailure(error)) throw error;
  });
  try {
    await Promise.race([asking, clock.sleep(TAKE_BACK_MS, { signal: answered.signal })]);
    // kill point: machine/taken-back
  } finally {
    answered.abort();
  }
  return { kind: 'unclear', message };
}
