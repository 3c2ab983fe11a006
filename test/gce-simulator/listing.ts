import { invalidField } from './api-error.ts';
import { parseFilter } from './filter.ts';

/** What the list calls have in common: `filter`, `orderBy`, `maxResults`, `pageToken`. */
type Listed = { name: string; creationTimestamp?: string; insertTime?: string };
export type Page<T> = { items: T[]; nextPageToken?: string };

const MOST_RESULTS = 500;

/**
 * One page, in the order of the key. A token names the last key of its page, so that what comes and goes between two pages
 * neither hides nor repeats anything else. Throws the ApiError of parameters that the service refuses.
 */
export function page<T extends Listed>(
  resources: T[],
  query: URLSearchParams,
  keyOf: (resource: T) => string = ({ name }) => name,
): Page<T> {
  const limit = limitOf(query.get('maxResults'));
  const filter = parseFilter(query.get('filter'));
  const matching = resources.filter(filter);
  const newestFirst = query.get('orderBy') === 'creationTimestamp desc';
  const sortKey = (resource: T): string => {
    const created = resource.creationTimestamp ?? resource.insertTime ?? '';
    return newestFirst ? `${reversed(Date.parse(created))} ${keyOf(resource)}` : keyOf(resource);
  };
  const order = query.get('orderBy');
  if (order !== null && order !== '' && order !== 'name' && !newestFirst) {
    throw invalidField('orderBy', order, 'Only `name` and `creationTimestamp desc` can be ordered by.');
  }
  const sorted = matching
    .map((resource) => ({ key: sortKey(resource), resource }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  const after = keyOfToken(query.get('pageToken'));
  const rest = after === undefined ? sorted : sorted.filter(({ key }) => key > after);
  const items = rest.slice(0, limit);
  const last = items.at(-1);
  return {
    items: items.map(({ resource }) => resource),
    ...(last && rest.length > items.length && { nextPageToken: tokenOf(last.key) }),
  };
}

/** Later times sort first. */
function reversed(ms: number): string {
  return String(Number.MAX_SAFE_INTEGER - ms).padStart(16, '0');
}

function limitOf(text: string | null): number {
  if (text === null || text === '') return MOST_RESULTS;
  const limit = Number(text);
  if (!Number.isInteger(limit) || limit < 0 || limit > MOST_RESULTS) {
    throw invalidField('maxResults', text, `Must be between 0 and ${MOST_RESULTS}, inclusive.`);
  }
  return limit === 0 ? MOST_RESULTS : limit;
}

function tokenOf(key: string): string {
  return Buffer.from(`after ${key}`).toString('base64url');
}

function keyOfToken(token: string | null): string | undefined {
  if (token === null || token === '') return undefined;
  const text = Buffer.from(token, 'base64url').toString('utf8');
  if (!text.startsWith('after ')) throw invalidField('pageToken', token, 'The page token is invalid.');
  return text.slice('after '.length);
}

/**
 * An aggregated list: every scope is named, those without results carry a warning instead, and those that could not be
 * asked another one.
 */
export function aggregate<T>({
  kind,
  id,
  field,
  pages,
  scopeOf,
  zones,
  unreachable,
}: {
  kind: string;
  id: string;
  /** `instances`, `operations` */
  field: string;
  pages: Page<T>;
  scopeOf: (resource: T) => string;
  zones: string[];
  unreachable: string[];
}): unknown {
  const items: Record<string, unknown> = {};
  for (const zone of zones) {
    const scope = `zones/${zone}`;
    const found = pages.items.filter((resource) => scopeOf(resource) === zone);
    if (found.length > 0) items[scope] = { [field]: found };
    else
      items[scope] = {
        warning: unreachable.includes(zone) ? unreachableWarning(scope) : emptyWarning(scope),
      };
  }
  return {
    kind,
    id,
    items,
    ...(pages.nextPageToken !== undefined && { nextPageToken: pages.nextPageToken }),
    ...(unreachable.length > 0 && { unreachables: unreachable.map((zone) => `zones/${zone}`) }),
  };
}

function emptyWarning(scope: string): unknown {
  return {
    code: 'NO_RESULTS_ON_PAGE',
    message: `There are no results for scope '${scope}' on this page.`,
    data: [{ key: 'scope', value: scope }],
  };
}

function unreachableWarning(scope: string): unknown {
  return {
    code: 'UNREACHABLE',
    message: `Unable to retrieve results for scope '${scope}' on this page.`,
    data: [{ key: 'scope', value: scope }],
  };
}
