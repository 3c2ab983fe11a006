import { isJsonObject } from '../../core/json.ts';

/** A part of a tool's structured answer. What is missing or of another type reads as empty: an answer is never a crash. */
export type Row = Readonly<Record<string, unknown>>;

export function textAt(row: Row, key: string): string {
  const value = row[key];
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? `${value}`
    : '';
}

export function isTrue(row: Row, key: string): boolean {
  return row[key] === true;
}

export function rowAt(row: Row, key: string): Row | undefined {
  const value = row[key];
  return isJsonObject(value) ? value : undefined;
}

export function rowsAt(row: Row, key: string): Row[] {
  const value = row[key];
  return Array.isArray(value) ? value.filter((item) => isJsonObject(item)) : [];
}

export function textsAt(row: Row, key: string): string[] {
  const value = row[key];
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

/** `completed`, or `completed (cached)` where the cause says more, and which attempt it is where it was started anew. */
export function stateAt(row: Row): string {
  const [state, cause, attempt] = [textAt(row, 'state'), textAt(row, 'cause'), textAt(row, 'attempt')];
  const told = cause === '' || cause === 'success' ? state : `${state} (${cause})`;
  return attempt === '' || attempt === '1' ? told : `${told}, attempt ${attempt}`;
}
