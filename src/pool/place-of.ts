/** Tells machines apart: a name may have been tried in two zones, and the row of a worker says which of them counts. */
export function placeOf({ zone, id }: { zone: string | null; id: string }): string {
  return `${zone ?? ''}/${id}`;
}
