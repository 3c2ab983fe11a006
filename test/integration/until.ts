import { systemClock } from '../../src/core/clock.ts';

/** Polls until the condition holds; fails with what it waited for. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  seconds = 20,
): Promise<void> {
  const deadline = systemClock.monotonic() + seconds * 1000;
  while (!(await condition())) {
    if (systemClock.monotonic() > deadline) throw new Error(`waited ${seconds} s for ${what}`);
    await systemClock.sleep(10);
  }
}
