import type { StageRun } from '../core/rows.ts';
import type { RunsDeps } from './deps.ts';

/** The values a run was, or could have been, handed: what must be taken out of all that is written down about it. */
export function secretsOf(
  { secrets }: Pick<RunsDeps, 'secrets'>,
  run: Pick<StageRun, 'plan'> | undefined,
): string[] {
  return secrets.everyValue(Object.values(run?.plan.secrets ?? {}));
}
