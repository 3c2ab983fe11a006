import { parseDocument } from 'yaml';

/** Keys that say where on this machine the state lies: a copy of the project must not share them. */
const PLACES = [['state_dir'], ['storage', 'local', 'path']];

/** The text of a goldfish.yaml for a copy of the project elsewhere; comments and everything else stay. */
export function withoutPlaces(text: string): string {
  const document = parseDocument(text);
  if (document.errors.length > 0) return text;
  const found = PLACES.filter((path) => document.hasIn(path));
  if (found.length === 0) return text;
  for (const path of found) document.deleteIn(path);
  return document.toString({ lineWidth: 0 });
}
