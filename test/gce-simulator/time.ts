import { type Clock, systemClock } from '../../src/core/clock.ts';

/** The only time the simulator knows. Milliseconds throughout. */
export type SimulatedTime = {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Runs `action` once, `ms` from now. What comes back calls it off; afterwards it does nothing. */
  after(ms: number, action: () => void): () => void;
};

export type ManualTime = SimulatedTime & {
  /** Moves time on; what falls due on the way runs in order, each at its own moment. */
  advance(ms: number): Promise<void>;
  /** Moves time on from one thing to the next until the condition holds. Throws where it does not within `ms`. */
  until(condition: () => boolean, ms?: number): Promise<void>;
};

type Due = { at: number; order: number; action: () => void };

/** Time that moves only when told: a day takes as long as what happens in it. */
export function createManualTime(start = Date.parse('2026-01-01T00:00:00.000Z')): ManualTime {
  const due: Due[] = [];
  let current = start;
  let order = 0;

  /** Runs the next thing that falls due up to `end`; false where there is none. */
  const step = async (end: number): Promise<boolean> => {
    const next = due[0];
    if (!next || next.at > end) return false;
    due.shift();
    current = next.at;
    next.action();
    await turn();
    return true;
  };

  return {
    now: () => current,
    after: (ms, action) => {
      const entry = { at: current + Math.max(0, ms), order: order++, action };
      const place = due.findIndex((other) => other.at > entry.at);
      due.splice(place < 0 ? due.length : place, 0, entry);
      return () => {
        const at = due.indexOf(entry);
        if (at >= 0) due.splice(at, 1);
      };
    },
    advance: async (ms) => {
      const end = current + ms;
      await turn();
      while (await step(end));
      current = end;
      await turn();
    },
    until: async (condition, ms = 3_600_000) => {
      const end = current + ms;
      await turn();
      while (!condition()) {
        if (!(await step(end))) throw new Error(`It did not come about within ${ms} simulated milliseconds.`);
      }
    },
  };
}

/** Lets everybody who waits for a promise have a turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A longer timer of Node's fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Time that runs by itself, `speed` times as fast as the clock. Its timers keep no process alive. */
export function createRunningTime({
  speed = 1,
  clock = systemClock,
}: {
  speed?: number;
  clock?: Clock;
} = {}) {
  const start = { wall: clock.now(), monotonic: clock.monotonic() };
  const now = (): number => start.wall + (clock.monotonic() - start.monotonic) * speed;
  return {
    now,
    after: (ms, action) => {
      const end = now() + ms;
      let timer: NodeJS.Timeout | undefined;
      const arm = (): void => {
        const rest = Math.max(0, (end - now()) / speed);
        const due = rest <= LONGEST_TIMER_MS;
        timer = setTimeout(due ? action : arm, Math.ceil(Math.min(rest, LONGEST_TIMER_MS)));
        timer.unref();
      };
      arm();
      return () => clearTimeout(timer);
    },
  } satisfies SimulatedTime;
}

/** The same time as the product knows it, so that a test runs both on one. */
export function clockOf(time: SimulatedTime): Clock {
  return {
    now: () => time.now(),
    monotonic: () => time.now(),
    sleep: (ms, options) =>
      new Promise((resolve) => {
        if (options?.signal?.aborted) return resolve();
        const callOff = time.after(ms, resolve);
        const aborted = (): void => {
          callOff();
          resolve();
        };
        options?.signal?.addEventListener('abort', aborted, { once: true });
      }),
  };
}
