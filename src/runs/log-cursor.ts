/** A place in a run's log: attempt and absolute byte offset. Shown as `1.2048`, opaque to callers. */
export type LogCursor = { attempt: number; offset: number };

export function formatLogCursor(cursor: LogCursor): string {
  return `${cursor.attempt}.${cursor.offset}`;
}

/** Undefined for text that is no cursor. */
export function parseLogCursor(text: string): LogCursor | undefined {
  const match = /^([1-9]\d{0,5})\.(\d{1,15})$/.exec(text);
  return match ? { attempt: Number(match[1]), offset: Number(match[2]) } : undefined;
}
