import { isJsonObject, type Json, type JsonObject } from '../../core/json.ts';

/** Reading structured answers as a client of the protocol has to: without the server's types. */
export function textAt(answer: JsonObject, key: string): string {
  const value = answer[key];
  return typeof value === 'string' ? value : '';
}

export function numberAt(answer: JsonObject, key: string): number | null {
  const value = answer[key];
  return typeof value === 'number' ? value : null;
}

/** The objects of a list; with `any`, its values as they are. */
export function listOf(answer: JsonObject, key: string): JsonObject[];
export function listOf(answer: JsonObject, key: string, any: true): Json[];
export function listOf(answer: JsonObject, key: string, any?: true): Json[] {
  const value = answer[key];
  if (!Array.isArray(value)) return [];
  return any ? value : value.filter(isJsonObject);
}
