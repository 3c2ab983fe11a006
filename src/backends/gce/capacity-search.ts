import type { Clock } from '../../core/clock.ts';
import type { CreateAnswer, MachineRequest, Place, PlaceSearch } from '../../pool/port.ts';
import type { ComputeCalls, InstanceBody } from './compute-calls.ts';
import { type BackOff, newBackOff, placeMachine } from './place-machine.ts';

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
 * is tried again in the next round. A refusal that no place would answer differently ends the search. So does one whose
 * answer stays unclear; then the search for the launch's next machine begins with the other places. Once the time is over
 * only those are asked that never were.
 */
export async function searchCapacity(
  deps: SearchDeps,
  request: MachineRequest,
  { signal, onPlace }: { signal: AbortSignal; onPlace: (place: Place) => number },
): Promise<CreateAnswer> {
  const { clock } = deps;
  const { search } = request;
  search.until ??= clock.monotonic() + request.capacityWaitSeconds * 1000;
  const { until, said, unclear } = search;
  let open = candidatesOf(request);
  const tryPlace = async (
    candidate: Candidate,
    { number, backOff }: { number: number; backOff: BackOff },
  ) => {
    const body = deps.body(candidate);
    const answer = await placeMachine({ ...deps, zone: candidate.zone, body, number, backOff, signal });
    const place = nameOf(candidate);
    unclear.delete(place);
    if (answer.kind === 'created') {
      // It has an end. Should the machine go before it begins the job, what was true of places then is not any more.
      search.until = null;
      said.clear();
      return answer;
    }
    said.set(place, answer.message);
    if (answer.kind === 'unclear') unclear.add(place);
    return answer;
  };
  if (request.last !== null) {
    // What an earlier life of this program asked for, and did not see the end of.
    if (signal.aborted) return { kind: 'unclear', message: ENDED };
    const { number } = request.last;
    const answer = await tryPlace(request.last, { number, backOff: newBackOff() });
    if (answer.kind !== 'failed') return answer;
  }
  while (open.length > 0) {
    const backOff = newBackOff();
    for (const candidate of [...open]) {
      if (signal.aborted) return gaveUp(said, false);
      if (clock.monotonic() >= until && said.has(nameOf(candidate))) continue;
      const number = onPlace({ ...candidate, pricePerHour: deps.pricePerHour(candidate) });
      // kill point: machine/place-noted
      const answer = await tryPlace(candidate, { number, backOff });
      if (answer.kind !== 'failed') return answer;
      if (answer.why === 'refused') return { kind: 'no_place', message: answer.message, lasting: true };
      if (answer.why === 'impossible') open = open.filter((other) => other !== candidate);
    }
    if (open.length === 0 || clock.monotonic() + ROUND_PAUSE_MS > until) break;
    await clock.sleep(ROUND_PAUSE_MS, { signal });
  }
  return gaveUp(said, open.length === 0);
}

/** Those that were unclear come last, the longest ago first. */
function candidatesOf({ models, zones, search }: MachineRequest): Candidate[] {
  const unclear = [...search.unclear];
  const rank = (candidate: Candidate): number => unclear.indexOf(nameOf(candidate));
  return models
    .flatMap((model) => zones.map((zone) => ({ zone, model })))
    .sort((one, other) => rank(one) - rank(other));
}

function nameOf({ zone, model }: Candidate): string {
  return `${zone}, ${model}`;
}

/** What each place said last. */
function gaveUp(said: PlaceSearch['said'], lasting: boolean): CreateAnswer {
  const told = [...said].map(([place, reason]) => `${place}: ${reason}`);
  return { kind: 'no_place', message: told.join(' ') || ENDED, lasting };
}
