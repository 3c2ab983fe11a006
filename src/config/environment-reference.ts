import type { Json } from '../core/json.ts';
import type { Locate, Path, ProblemList } from './problem.ts';

const REFERENCE = '${env:';

/** Refuses `${env:NAME}` wherever it stands: passing it on as text would look like a value and be none. */
export function refuseEnvironmentReferences(
  value: Json,
  at: Path,
  report: { locate: Locate; problems: ProblemList },
): void {
  if (typeof value === 'string') {
    if (!value.includes(REFERENCE)) return;
    report.problems.add(report.locate(at), {
      message: `Values from the environment ("${REFERENCE}…}") arrive in a later version.`,
      hint: 'Write the value itself, unless it is a secret.',
    });
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  const entries = Array.isArray(value) ? value.entries() : Object.entries(value);
  for (const [key, item] of entries) refuseEnvironmentReferences(item, [...at, key], report);
}
