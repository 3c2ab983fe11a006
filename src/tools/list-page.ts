import { fitPage } from './budget.ts';
import { SCHEMA_VERSION } from './fields.ts';
import type { PartError } from './parts.ts';

/** Rows of a list, and where the next page begins. */
export type Page<Row> = { rows: Row[]; nextCursor: string | null };

/** What `listFields` say of every list, and its rows under a name of their own. */
type ListAnswer<Name extends string, Row> = Record<Name, Row[]> & {
  schema_version: number;
  next_cursor: string | null;
  errors: PartError[];
};

/** The answer of a list: as many of `limit` rows as fit the budget, under `name`. */
export async function listPage<Name extends string, Row>(
  name: Name,
  limit: number | undefined,
  fetch: (size: number) => Page<Row>,
): Promise<ListAnswer<Name, Row>> {
  const page = await fitPage({ limit, fetch, rows: ({ rows }) => rows });
  const answer = { schema_version: SCHEMA_VERSION, next_cursor: page.nextCursor, errors: [] };
  return { ...answer, [name]: page.rows } as ListAnswer<Name, Row>;
}

/** The first `size` of rows of which one more was fetched: that one tells whether there is a next page. */
export function firstOf<Found, Row>(
  found: readonly Found[],
  size: number,
  show: { row: (item: Found) => Row; cursor: (last: Found) => string },
): Page<Row> {
  const shown = found.slice(0, size);
  const last = shown.at(-1);
  return {
    rows: shown.map(show.row),
    nextCursor: last !== undefined && found.length > size ? show.cursor(last) : null,
  };
}
