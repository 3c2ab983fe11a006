import { isGoldfishError, messageOf } from '../../core/errors.ts';
import type { Check, Ground } from './check.ts';
import { grantOnBucket } from './commands.ts';
import { about, type GceFinding, type Say } from './finding.ts';

const CONTENT = Buffer.from('goldfish doctor\n');
/** For taking away what was written, also after the check has had its time. */
const TAKE_AWAY_MS = 5_000;

/**
 * One small object is made, read, looked for and taken away again, through the very adapter that carries jobs. Each is
 * conditional: what somebody else has written is never touched.
 */
export const checkObjects: Check = {
  component: 'bucket objects',
  of: 'bucket',
  run: async (ground) => {
    const { storage, ids, signal } = ground;
    const key = `doctor/${ids.reference()}`;
    const written = await attempt(ground, 'bucket write', () =>
      storage.put(key, CONTENT, { createOnly: true, signal }),
    );
    const listed = await attempt(ground, 'bucket list', () => storage.list('doctor/', { limit: 1, signal }));
    if (written.value === undefined) return [written.finding, listed.finding, ...nothingWritten()];
    const { generation } = written.value;
    const read = await attempt(ground, 'bucket read', () => readWhole(ground, key));
    const deleted = await attempt(ground, 'bucket delete', () =>
      storage.delete(key, { ifGeneration: generation, signal: AbortSignal.timeout(TAKE_AWAY_MS) }),
    );
    return [written.finding, listed.finding, contentFinding(read), deleted.finding];
  },
};

function nothingWritten(): GceFinding[] {
  return ['bucket read', 'bucket delete'].map((name) => about(name).notChecked('nothing could be written'));
}

async function readWhole({ storage, signal }: Ground, key: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of await storage.get(key, { signal })) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

function contentFinding({ finding, value }: Attempt<Buffer>): GceFinding {
  if (value === undefined || value.equals(CONTENT)) return finding;
  return about('bucket read').failed('what is read is not what was written', null);
}

type Attempt<T> = { finding: GceFinding; value?: T };

async function attempt<T>(ground: Ground, name: string, work: () => Promise<T>): Promise<Attempt<T>> {
  const say = about(name);
  try {
    return { finding: say.ok(`gs://${ground.gcs.bucket}`), value: await work() };
  } catch (error) {
    return { finding: explain(ground, say, error) };
  }
}

function explain({ gcs, member }: Ground, say: Say, error: unknown): GceFinding {
  if (!isGoldfishError(error)) return say.failed(messageOf(error), null);
  const { status } = error.details;
  const isForbidden = status === 401 || status === 403;
  const grant = grantOnBucket({ bucket: gcs.bucket, member, role: 'roles/storage.objectUser' });
  return say.failed(error.message, isForbidden ? grant : (error.hint ?? null));
}
