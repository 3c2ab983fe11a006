import { GoldfishError } from '../core/errors.ts';
import { sha256 } from '../core/json.ts';
import type { RunEvent } from '../core/rows.ts';
import type { Db } from '../store/database.ts';
import { getRunEvent } from '../store/run-events.ts';

/** Before all events. */
const START = '0';

/**
 * The position behind an event as callers see it: its number, and a mark of the event itself. So a cursor holds across
 * restarts of everything, and one of another project, or of a time that a restore undid, is recognised.
 */
export function formatWaitCursor(db: Db, seq: number): string {
  const event = getRunEvent(db, seq);
  return event ? `${seq}.${markOf(event)}` : START;
}

/** Errors: INVALID_ARGUMENT for what is no cursor of this project. */
export function readWaitCursor(db: Db, text: string): number {
  if (text === START) return 0;
  const match = /^(\d{1,15})\.([a-f0-9]{8})$/.exec(text);
  if (!match) throw refusal('The cursor is not one that wait returned.');
  const event = getRunEvent(db, Number(match[1]));
  if (!event || markOf(event) !== match[2]) {
    throw refusal('The cursor is of another project, or of a time that a restore has undone.');
  }
  return event.seq;
}

function markOf({ seq, runId, event, createdAt }: RunEvent): string {
  return sha256(`${seq} ${runId} ${event} ${createdAt}`).slice('sha256:'.length, 'sha256:'.length + 8);
}

function refusal(message: string): GoldfishError {
  return new GoldfishError('INVALID_ARGUMENT', {
    message,
    hint: 'Leave it out to be told what changes from now on, or pass the cursor of the last answer as it was.',
    details: { field: 'cursor' },
  });
}
