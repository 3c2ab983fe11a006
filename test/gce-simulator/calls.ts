/** One call that arrived, whatever became of it. */
export type CallRecord = {
  /** The API's own name, `instances.insert`; `unknown` for a path that is none. */
  id: string;
  method: string;
  /** With the query. */
  path: string;
  /** When it arrived, milliseconds since the epoch. */
  at: number;
  /** The header as it came. */
  authorization?: string;
  /** The HTTP status of the answer; 0 where the connection was broken, absent while it is under way. */
  status?: number;
};

export type Calls = {
  /** All, oldest first. */
  records: CallRecord[];
  /** How many there were of one kind, or of all. */
  count(id?: string): number;
  /** How many there were of each kind. */
  counts(): Record<string, number>;
};

export function createCalls(): Calls {
  const records: CallRecord[] = [];
  return {
    records,
    count: (id) => records.filter((record) => id === undefined || record.id === id).length,
    counts: () => {
      const counts: Record<string, number> = {};
      for (const { id } of records) counts[id] = (counts[id] ?? 0) + 1;
      return counts;
    },
  };
}
