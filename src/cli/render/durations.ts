/** Seconds as people read them: `2.1 s`, `35 s`, `3 min 05 s`, `2 h 04 min`, `3 d 4 h`. */
export function formatDuration(seconds: number): string {
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3_600)} h ${pad(Math.floor((whole % 3_600) / 60))} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3_600)} h`;
}

/** How long ago an ISO time was, in one unit: `12 s`, `3 min`, `2 h`, `5 d`; empty for no time. */
export function formatAge(iso: string, nowMs: number): string {
  const seconds = Math.floor((nowMs - Date.parse(iso)) / 1_000);
  if (Number.isNaN(seconds)) return '';
  if (seconds < 60) return `${Math.max(0, seconds)} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** From start to end, or to now for what still goes on; empty for what has not begun. */
export function formatTook(startedAt: string, endedAt: string, nowMs: number): string {
  const from = Date.parse(startedAt);
  if (Number.isNaN(from)) return '';
  const to = Date.parse(endedAt);
  return formatDuration(((Number.isNaN(to) ? nowMs : to) - from) / 1_000);
}

function pad(value: number): string {
  return `${value}`.padStart(2, '0');
}
