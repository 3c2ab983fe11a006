import type { Clock } from '../../core/clock.ts';
import type { CreateAnswer, MachineRequest, Place } from '../../pool/port.ts';
import type { ComputeCalls, InstanceBody } from './compute-calls.ts';
import { placeMachine } from './place-machine.ts';

/** Between two rounds through all places. */
const ROUND_PAUSE_MS = 15_000;
const ENDED = 'The search was ended.';

export type SearchDeps = {
  calls: ComputeCalls;
  clock: Clock;
  /** The machine as it is asked for in a place. */
  body: (place: Pick<Place, 'zone' | 'model'>) => InstanceBody;
  pricePerHour: (place: Pick<Place, 'zone' | 'model'>) => number | null;
};

type Candidate = Pick<Place, 'zone' | 'model'>;

/**
 * Tries every way of paying in every zone, in the order of the request, round after round, until a machine runs or the
 * time is over. A place that can never have it is left out from then on; one that refuses for want of machines or quota
 * is tried again in the next round. A refusal that no place would answer differently ends the search.
 */
export async function searchCapacity(
  deps: SearchDeps,
  request: MachineRequest,
  { signal, onPlace }: { signal: AbortSignal; onPlace: (place: Place) => number },
): Promise<CreateAnswer> {
  const { clock } = deps;
  const until = clock.monotonic() + request.capacityWaitSeconds * 1000;
  let open: Candidate[] = request.models.flatMap((model) => request.zones.map((zone) => ({ zone, model })));
  const reasons = new Map<string, string>();
  const tryPlace = async (candidate: Candidate, number: number) => {
    const body = deps.body(candidate);
    const answer = await placeMachine({ ...deps, zone: candidate.zone, body, number, signal });
    if (answer.kind !== 'created') reasons.set(`${candidate.zone}, ${candidate.model}`, answer.message);
    return answer;
  };
  if (request.last !== null) {
    // What an earlier life of this program asked for, and did not see the end of.
    if (signal.aborted) return { kind: 'unclear', message: ENDED };
    const answer = await tryPlace(request.last, request.last.number);
    if (answer.kind !== 'failed') return answer;
  }
  while (open.length > 0) {
    for (const candidate of [...open]) {
      if (signal.aborted) return gaveUp(reasons, false);
      const number = onPlace({ ...candidate, pricePerHour: deps.pricePerHour(candidate) });
      // kill point: machine/place-noted
      const answer = await tryPlace(candidate, number);
      if (answer.kind !== 'failed') return answer;
      if (answer.why === 'refused') return { kind: 'no_place', message: answer.message, lasting: true };
      if (answer.why === 'impossible') open = open.filter((other) => other !== candidate);
    }
    if (open.length === 0 || clock.monotonic() + ROUND_PAUSE_MS > until) break;
    await clock.sleep(ROUND_PAUSE_MS, { signal });
  }
  return gaveUp(reasons, open.length === 0);
}

/** What each place said last. */
function gaveUp(reasons: ReadonlyMap<string, string>, lasting: boolean): CreateAnswer {
  const told = [...reasons].map(([place, reason]) => `${place}: ${reason}`);
  return { kind: 'no_place', message: told.join(' ') || ENDED, lasting };
}
