import type { StoredObject } from './buckets.ts';

const LARGEST_PAGE = 1000;

const compareBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/**
 * A page of names in the order of their bytes. With a delimiter, names that go on after it count once, as a prefix.
 * `largest` is how many rows the service is willing to give at once, whatever is asked for.
 */
export function listObjects(
  objects: ReadonlyMap<string, StoredObject>,
  query: URLSearchParams,
  largest = LARGEST_PAGE,
): { kind: string; items: object[]; prefixes?: string[]; nextPageToken?: string } {
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const [from, to] = [query.get('startOffset'), query.get('endOffset')];
  const asked = Number(query.get('maxResults') ?? LARGEST_PAGE);
  const limit = Math.min(asked, LARGEST_PAGE, largest);
  const after = Buffer.from(query.get('pageToken') ?? '', 'base64').toString();
  const items: object[] = [];
  const prefixes: string[] = [];
  let last = after;
  for (const name of [...objects.keys()].sort(compareBytes)) {
    if (!name.startsWith(prefix)) continue;
    if ((from !== null && compareBytes(name, from) < 0) || (to !== null && compareBytes(name, to) >= 0))
      continue;
    const end = delimiter === '' ? -1 : name.indexOf(delimiter, prefix.length);
    const row = end < 0 ? name : name.slice(0, end + delimiter.length);
    if ((after !== '' && compareBytes(row, after) <= 0) || row === prefixes.at(-1)) continue;
    if (items.length + prefixes.length >= limit) {
      return {
        kind: 'storage#objects',
        items,
        prefixes,
        nextPageToken: Buffer.from(last).toString('base64'),
      };
    }
    if (end < 0) items.push(objects.get(name)!.meta);
    else prefixes.push(row);
    last = row;
  }
  return { kind: 'storage#objects', items, ...(prefixes.length === 0 ? {} : { prefixes }) };
}
