import pLimit from 'p-limit';
import type { CallOptions, ObjectStorage } from '../../storage/port.ts';
import { listAll } from './pull-tail.ts';

const AT_ONCE = 8;

/**
 * Removes what was exchanged for an attempt. Claims and the result stay: they keep a machine that was thought to be gone
 * from beginning the attempt, or ending it, again. Harmless where nothing is left.
 */
export async function removeTraces(bucket: ObjectStorage, prefix: string, call: CallOptions): Promise<void> {
  const kept = (key: string): boolean => key === `${prefix}exit.json` || key.startsWith(`${prefix}claims/`);
  const objects = await listAll(bucket, { prefix }, call);
  const inTurn = pLimit(AT_ONCE);
  await inTurn.map(
    objects.filter(({ key }) => !kept(key)),
    async ({ key }) => {
      await bucket.delete(key, call);
      // kill point: rent/trace-removed
    },
  );
}
