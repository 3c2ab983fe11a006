import { type Clock, systemClock } from '../../src/core/clock.ts';

/** A clock the test owns: wall time moves only when told, and may jump; sleeping takes no time. */
export function createTestClock(start = Date.parse('2026-01-01T00:00:00.000Z')) {
  let wall = start;
  let monotonic = 0;
  return {
    clock: {
      now: () => wall,
      monotonic: () => monotonic,
      sleep: async (ms) => {
        monotonic += ms;
        wall += ms;
        // Lets others have their turn, as a real sleep does.
        await systemClock.sleep(0);
      },
    } satisfies Clock,
    advance: (ms: number): void => {
      wall += ms;
      monotonic += ms;
    },
    /** The wall clock is set; durations are not. */
    jump: (ms: number): void => {
      wall += ms;
    },
  };
}
