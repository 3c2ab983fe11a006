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
