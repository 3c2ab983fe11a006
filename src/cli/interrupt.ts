/**
 * For commands that only watch: the first Ctrl-C ends the watching, so that it can say how to go on; a second one
 * ends the process as usual. Commands that do not watch die of Ctrl-C as any program does.
 */
export async function untilInterrupted<T>(
  watch: (signal: AbortSignal) => Promise<T>,
): Promise<{ result: T; interrupted: boolean }> {
  const stop = new AbortController();
  const onInterrupt = (): void => stop.abort();
  process.once('SIGINT', onInterrupt);
  try {
    const result = await watch(stop.signal);
    return { result, interrupted: stop.signal.aborted };
  } finally {
    process.removeListener('SIGINT', onInterrupt);
  }
}
