import { GoldfishError } from '../core/errors.ts';
import { clip } from '../core/names.ts';
import type { ExperimentRecord } from '../core/rows.ts';
import type { Db } from '../store/database.ts';
import { getRecord, recordIdsLike } from '../store/records.ts';

/** Candidates shown where a prefix fits several ids. */
const CANDIDATES = 5;
const SNAPSHOT = /^snap-[a-f0-9]{8}-\d{8}-\d{6}$/;
/** A ULID, or at least 6 characters of its beginning. */
const RECORD_ID = /^[0-7][0-9A-HJKMNP-TV-Z]{5,25}$/i;

/** Whether a text could be an id of a record, or the snapshot id of one. */
export function looksLikeRecord(text: string): boolean {
  return SNAPSHOT.test(text) || RECORD_ID.test(text);
}

/**
 * A record by its id, by a prefix of at least 6 characters, or by its snapshot id.
 * Errors: RECORD_NOT_FOUND, AMBIGUOUS_ID.
 */
export function findRecord(db: Db, text: string): ExperimentRecord {
  if (SNAPSHOT.test(text)) {
    const found = getRecord(db, { snapshotId: text });
    if (found) return found;
  }
  const candidates = RECORD_ID.test(text) ? recordIdsLike(db, text.toUpperCase(), CANDIDATES) : [];
  const [id, ...others] = candidates;
  const record = id === undefined ? undefined : getRecord(db, { id });
  if (!record) {
    throw new GoldfishError('RECORD_NOT_FOUND', {
      message: `No record has the id "${clip(text)}".`,
      hint: 'history shows the records of a workspace; the beginning of an id is enough where it is the only one.',
    });
  }
  if (others.length === 0) return record;
  throw new GoldfishError('AMBIGUOUS_ID', {
    message: `"${clip(text)}" fits several records.`,
    hint: 'Use more characters of the id: the first ones tell the time only.',
    details: { candidates },
  });
}
