import type { Clock } from '../../core/clock.ts';
import type { CallOptions, ObjectStorage } from '../../storage/port.ts';
import { putOnce, type StoredObject } from './bucket-files.ts';
import { workerProgram } from './worker-program.ts';

/** Looked at once in a while: a rule of the bucket may have removed it. */
const LOOK_AGAIN_MS = 60 * 60 * 1000;

let seen: { bucket: ObjectStorage; at: number } | undefined;

/** Puts the worker program of this version of Goldfish into the bucket, where it is not there. */
export async function storeProgram(
  { bucket, clock }: { bucket: ObjectStorage; clock: Clock },
  call: CallOptions,
): Promise<StoredObject> {
  const { archive, object, sha256, size } = await workerProgram();
  const now = clock.monotonic();
  if (seen?.bucket !== bucket || now - seen.at > LOOK_AGAIN_MS) {
    const found = await bucket.stat(object, call);
    if (found === undefined) await putOnce(bucket, { key: object, body: archive }, call);
    // Its age begins anew.
    else await bucket.copy(object, object, call);
    seen = { bucket, at: now };
  }
  return { object, sha256, size };
}
