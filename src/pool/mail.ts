import type { Readable } from 'node:stream';
import type { z } from 'zod';
import { isGoldfishError } from '../core/errors.ts';
import { isMissing } from '../storage/object-errors.ts';
import type { ObjectStat, ObjectStorage } from '../storage/port.ts';
import {
  type AssignedJob,
  type Assignment,
  assignmentKey,
  assignmentSchema,
  CONTROLLER,
  claimKey,
  claimSchema,
  type Letter,
  letterKey,
  letterSchema,
} from './documents.ts';
import type { CallOptions } from './port.ts';

/** A document is a few hundred bytes; a machine that writes more does not tell a letter. */
const MAX_BYTES = 64 * 1024;

export type NewLetter = { worker: string; generation: string; letter: Letter };

/** `letter` is undefined for what is none, or too large to be read. */
export type FoundLetter = Omit<NewLetter, 'letter'> & { letter: Letter | undefined };

/** `unread`: those that could not be read now, and why; `others`: workers that were not asked for, of which something is kept. */
export type FoundLetters = {
  letters: FoundLetter[];
  unread: { worker: string; error: unknown }[];
  others: ReadonlySet<string>;
};

type OneJob = { worker: string; number: number; prefix: string };

/** What the controller does with the objects that it and the machines share. */
export type Mail = {
  /**
   * Names a job of a machine: the first before it is asked for (`generation` '0'), the next when it rests. Done twice, it is
   * done once. `generation` may be of an earlier job: who named the last one may have died before it was noted. `refused`:
   * the machine has closed the object, because it leaves and reads nothing any more, or for a reason nobody knows.
   */
  assign(
    of: { worker: string; number: number; job: AssignedJob; generation: string },
    options?: CallOptions,
  ): Promise<{ kind: 'written'; generation: string } | { kind: 'refused' }>;
  /** After `called_off` the machine can never begin the job; after `claimed` it has. */
  callOff(of: OneJob, options?: CallOptions): Promise<'called_off' | 'claimed'>;
  /** Whether the machine has begun the job. Where not, it still may. */
  hasClaimed(of: OneJob, options?: CallOptions): Promise<boolean>;
  /**
   * Letters of these workers of another generation than the known one, in one list and a read each.
   */
  read(known: ReadonlyMap<string, string | null>, options?: CallOptions): Promise<FoundLetters>;
  /** Everything that is kept of a worker that is gone. */
  remove(worker: string, options?: CallOptions): Promise<void>;
};

export function createMail(storage: ObjectStorage): Mail {
  return {
    assign: (of, options) => assign(storage, of, options),
    callOff: (of, options) => callOff(storage, of, options),
    hasClaimed: async (of, options = {}) => {
      const found = await readJson(storage, claimKey(of), options);
      const claim = claimSchema.safeParse(found).data;
      return claim !== undefined && claim.by !== CONTROLLER;
    },
    read: (known, options) => readLetters(storage, known, options),
    remove: async (worker, options) => {
      await storage.delete(letterKey(worker), options);
      await storage.delete(assignmentKey(worker), options);
    },
  };
}

async function assign(
  storage: ObjectStorage,
  of: { worker: string; number: number; job: AssignedJob; generation: string },
  options: CallOptions = {},
): Promise<{ kind: 'written'; generation: string } | { kind: 'refused' }> {
  const { worker, number, job, generation: ifGeneration } = of;
  const assignment: Assignment = { schema: 1, worker, number, job };
  const key = assignmentKey(worker);
  try {
    const { generation } = await storage.put(key, bytes(assignment), { ...options, ifGeneration });
    return { kind: 'written', generation };
  } catch (error) {
    if (!isConflict(error)) throw error;
  }
  const found = await readDocument(storage, key, assignmentSchema, options);
  if (found === undefined || found.document.job === null) return { kind: 'refused' };
  const { document, generation } = found;
  // It was this very write whose answer was lost, perhaps in an earlier life of this program.
  if (document.number === number && sameJob(document.job, job)) return { kind: 'written', generation };
  const isNews = document.number < number && generation !== ifGeneration;
  return isNews ? assign(storage, { ...of, generation }, options) : { kind: 'refused' };
}

async function callOff(
  storage: ObjectStorage,
  of: OneJob,
  options: CallOptions = {},
): Promise<'called_off' | 'claimed'> {
  const key = claimKey(of);
  const document = { schema: 1, by: CONTROLLER, nonce: '' };
  if ((await writeOnce(storage, { key, document }, options)) !== undefined) return 'called_off';
  const found = await readDocument(storage, key, claimSchema, options);
  return found?.document.by === CONTROLLER ? 'called_off' : 'claimed';
}

async function readLetters(
  storage: ObjectStorage,
  known: ReadonlyMap<string, string | null>,
  options: CallOptions = {},
): Promise<FoundLetters> {
  const workers = new Map([...known.keys()].map((worker) => [letterKey(worker), worker]));
  const changed: { worker: string; stat: ObjectStat }[] = [];
  const others = new Set<string>();
  for await (const stat of listWorkers(storage, options)) {
    const id = stat.key.split('/')[1] ?? '';
    if (!known.has(id)) others.add(id);
    const worker = workers.get(stat.key);
    if (worker !== undefined && known.get(worker) !== stat.generation) changed.push({ worker, stat });
  }
  const letters: FoundLetter[] = [];
  const unread: { worker: string; error: unknown }[] = [];
  await Promise.all(
    changed.map(async ({ worker, stat }) => {
      try {
        // A letter that was replaced meanwhile is read anew the next time.
        const json = stat.size > MAX_BYTES ? undefined : await readJson(storage, stat.key, options);
        const letter = letterSchema.safeParse(json).data;
        const isIts = letter?.worker === worker;
        letters.push({ worker, generation: stat.generation, letter: isIts ? letter : undefined });
      } catch (error) {
        unread.push({ worker, error });
      }
    }),
  );
  return { letters, unread, others };
}

async function* listWorkers(storage: ObjectStorage, options: CallOptions = {}): AsyncGenerator<ObjectStat> {
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = await storage.list('workers/', { ...options, ...(cursor === undefined ? {} : { cursor }) });
    yield* page.objects;
    cursor = page.nextCursor;
  }
}

/** Undefined where the key is there already. */
async function writeOnce(
  storage: ObjectStorage,
  { key, document }: { key: string; document: object },
  options: CallOptions,
): Promise<ObjectStat | undefined> {
  try {
    return await storage.put(key, bytes(document), { ...options, createOnly: true });
  } catch (error) {
    if (isConflict(error)) return undefined;
    throw error;
  }
}

/** A document together with its own generation: looked at until it stays the same while it is read. */
async function readDocument<Document>(
  storage: ObjectStorage,
  key: string,
  schema: z.ZodType<Document>,
  options: CallOptions,
): Promise<{ document: Document; generation: string } | undefined> {
  let before = await storage.stat(key, options);
  while (before !== undefined) {
    const json = await readJson(storage, key, options);
    const after = await storage.stat(key, options);
    if (after?.generation === before.generation) {
      const document = schema.safeParse(json).data;
      return document && { document, generation: before.generation };
    }
    before = after;
  }
  return undefined;
}

/** Undefined where it is not there (any more), too large, or no JSON. */
async function readJson(storage: ObjectStorage, key: string, options: CallOptions): Promise<unknown> {
  try {
    const content = await readSmall(await storage.get(key, options));
    return content && JSON.parse(content.toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError || isMissing(error)) return undefined;
    throw error;
  }
}

/** Undefined where there is more than a document may have; the rest is not read then. */
async function readSmall(stream: Readable): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of stream as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > MAX_BYTES) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function bytes(document: object): Uint8Array {
  return Buffer.from(JSON.stringify(document), 'utf8');
}

function sameJob(found: AssignedJob | null, job: AssignedJob): boolean {
  return found?.runId === job.runId && found.attempt === job.attempt;
}

function isConflict(error: unknown): boolean {
  return isGoldfishError(error) && error.code === 'CONFLICT';
}
