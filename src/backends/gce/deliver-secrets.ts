import { attemptPrefix, letterSchema } from '../../pool/documents.ts';
import type { CallOptions } from '../../storage/port.ts';
import { workerOfJob } from '../../store/workers.ts';
import type { RunSpec } from '../port.ts';
import { wrapperRequest } from '../start-wrapper.ts';
import { putOnce } from './bucket-files.ts';
import { sealedKey } from './job-document.ts';
import type { GceDeps } from './options.ts';
import { sealSecrets } from './seal-secrets.ts';

const LOOK_MS = 500;

/**
 * Seals the secrets of an attempt for each machine that is about to begin it, once per boot, as soon as the machine has
 * told its key; until `signal` says that nobody waits for them any more. Never throws: what failed is tried again.
 */
export async function deliverSecrets(deps: GceDeps, spec: RunSpec, signal: AbortSignal): Promise<void> {
  const done = new Set<string>();
  while (!signal.aborted) {
    try {
      await deliverOnce(deps, spec, { done, call: { signal } });
    } catch (error) {
      if (!signal.aborted)
        deps.log.warn({ run: spec.runId, err: error }, 'secrets could not be handed over yet');
    }
    await deps.clock.sleep(LOOK_MS, { signal });
  }
}

async function deliverOnce(
  deps: GceDeps,
  spec: RunSpec,
  { done, call }: { done: Set<string>; call: CallOptions },
): Promise<void> {
  const worker = workerOfJob(deps.db, spec);
  const letter = letterSchema.safeParse(worker?.letter).data;
  if (worker === undefined || letter === undefined || letter.publicKey === null) return;
  const key = sealedKey({ prefix: attemptPrefix(spec), worker: worker.id, boot: letter.boot });
  if (done.has(key)) return;
  const { bucket } = await deps.rented();
  const body = Buffer.from(sealSecrets(letter.publicKey, wrapperRequest(spec.secrets)));
  // One that is there was sealed for the same boot, in an earlier life of this program.
  await putOnce(bucket, { key, body }, call);
  // kill point: send/secrets-sealed
  done.add(key);
}
