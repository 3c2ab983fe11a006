import type { Json } from '../core/json.ts';
import type { Locate, Path, ProblemList } from './problem.ts';

const BEGINNING = '${env:';
const REFERENCE = /^\$\{env:([A-Z_][A-Z0-9_]{0,255})\}$/;

/** NAME of a value that is `${env:NAME}` and nothing else. */
export function referencedName(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? REFERENCE.exec(value)?.[1] : undefined;
}

/**
 * Refuses `${env:NAME}` where it is not allowed, or only part of a value: passing it on as text would look like a
 * value and be none. What is refused is never shown, since people put secrets beside it.
 */
export function checkEnvironmentReferences(
  value: Json,
  at: Path,
  check: { locate: Locate; problems: ProblemList; allowed: (path: Path) => boolean },
): void {
  if (typeof value === 'string') {
    if (!value.includes(BEGINNING)) return;
    const { locate, problems } = check;
    if (!check.allowed(at)) {
      problems.add(locate(at), {
        message: `A value from the environment ("${BEGINNING}…}") is not possible here.`,
        hint: 'It may stand under "environment" of a stage config, and in settings of a connection such as docker.host.',
      });
    } else if (referencedName(value) === undefined) {
      problems.add(locate(at), {
        message: `A value from the environment is "${BEGINNING}NAME}" and nothing else.`,
        hint: 'Use capital letters, digits and "_" for NAME, and put what surrounds it into the value itself.',
      });
    }
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  const entries = Array.isArray(value) ? value.entries() : Object.entries(value);
  for (const [key, item] of entries) checkEnvironmentReferences(item, [...at, key], check);
}
