import { GoldfishError } from '../core/errors.ts';
import { clip, parseVersion } from '../core/names.ts';

/** An ISO time from what a person types (`2026-11-21`, `2026-11-21T22:00Z`). Errors: INVALID_ARGUMENT. */
export function readTime(field: string, text: string): string {
  const ms = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(ms)) return new Date(ms).toISOString();
  throw new GoldfishError('INVALID_ARGUMENT', {
    message: `"${field}" is "${clip(text)}", which is no time.`,
    hint: 'Write it as 2026-11-21 or 2026-11-21T22:00:00Z.',
    details: { field },
  });
}

/** The position behind a row of a list that is ordered by time and id. */
export type Position = { createdAt: string; id: string };

export function formatPosition(position: Position): string {
  return `${position.createdAt}~${position.id}`;
}

/** Errors: INVALID_ARGUMENT for a text that no list returned. */
export function readPosition(text: string): Position {
  const match = /^(\d{4}-\d\d-\d\dT[\d:.]+Z)~([a-z]+-[a-f0-9]{12})$/.exec(text);
  if (match?.[1] !== undefined && match[2] !== undefined) return { createdAt: match[1], id: match[2] };
  throw badCursor();
}

export function badCursor(): GoldfishError {
  return new GoldfishError('INVALID_ARGUMENT', {
    message: 'The cursor is not one that this tool returned.',
    hint: 'Leave it out to start again, or pass the cursor of the last answer as it was.',
    details: { field: 'cursor' },
  });
}

/** 3 of `v3`. Errors: INVALID_ARGUMENT. */
export function readVersion(field: string, typed: string): number {
  const version = parseVersion(typed);
  if (version !== undefined) return version;
  throw new GoldfishError('INVALID_ARGUMENT', {
    message: `"${field}" is "${clip(typed)}", which is no version.`,
    hint: 'Versions are written v1, v2, and so on.',
    details: { field },
  });
}
