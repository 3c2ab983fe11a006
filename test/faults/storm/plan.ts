import { createRandom } from '../kit/random.ts';

/** Who may die. `stage` is its program, `container` what it runs in on docker. */
export type Victim = 'server' | 'supervisor' | 'run wrapper' | 'stage' | 'container';

/** One blow: after a pause, somebody dies; then, or not before a later blow, a client comes back. */
export type Blow = {
  pauseMs: number;
  victim: Victim;
  /** Chooses among several. */
  which: number;
  /** False: until a later blow that says so, nobody comes back to a server that has died. */
  comesBack: boolean;
};

/** Blow after blow, from the seed alone: what the machine does meanwhile changes nothing of it. */
export function* blows(seed: number, victims: readonly [Victim, ...Victim[]]): Generator<Blow, never> {
  const random = createRandom(seed);
  for (;;) {
    yield {
      pauseMs: random.between(200, 800),
      victim: random.pick(victims),
      which: random.next(),
      comesBack: random.next() < 0.5,
    };
  }
}

/** `lull`: its pause is to begin when a supervisor is there. */
type GustBlow = Blow & { lull: boolean };

/** Blows at supervisors in a gust, and the pause after them. */
const GUST = [3, 6] as const;
const LULL_MS = [4_000, 8_000] as const;

/**
 * The same in gusts. A supervisor that lives for a second hardly comes to do anything: in a lull a client is back, and a
 * supervisor takes over and gets work going, in the middle of which the next gust finds it.
 */
export function* gusts(seed: number, victims: readonly [Victim, ...Victim[]]): Generator<GustBlow, never> {
  const random = createRandom(seed ^ 0x5eed);
  const plan = blows(seed, victims);
  let [left, lull] = [random.between(...GUST), false];
  for (;;) {
    const blow = plan.next().value;
    const pauseMs = lull ? random.between(...LULL_MS) : blow.pauseMs;
    if (blow.victim === 'supervisor') left -= 1;
    const isLast = left === 0;
    yield { ...blow, pauseMs, lull, comesBack: blow.comesBack || isLast };
    lull = isLast;
    if (isLast) left = random.between(...GUST);
  }
}

/** How many blows of a plan fall due within a time. */
export function dueWithin(plan: Iterable<Blow>, ms: number): number {
  let [due, at] = [0, 0];
  for (const { pauseMs } of plan) {
    at += pauseMs;
    if (at > ms) break;
    due += 1;
  }
  return due;
}
