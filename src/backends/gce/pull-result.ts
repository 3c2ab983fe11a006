import { createWriteStream } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { isGoldfishError } from '../../core/errors.ts';
import { parseJson } from '../../core/json.ts';
import type { AttemptLayout } from '../../core/layout.ts';
import { hashFile } from '../../data/hash-file.ts';
import { syncFolder, writeFileAtomic } from '../../os/files.ts';
import { isMissing } from '../../storage/object-errors.ts';
import type { CallOptions, ObjectStorage } from '../../storage/port.ts';
import { pathExists } from '../attempt-files.ts';
import { removeScratch } from '../materialise-inputs.ts';
import { readStopNote } from '../stop-request.ts';
import { readObject } from './pull-document.ts';
import type { Room } from './room.ts';
import { BadArchive, unpackFolder } from './unpack-folder.ts';

const OUTPUTS = 'attempt/outputs/';

/** What the worker program adds to the run wrapper's document. The rest is read where every result is read. */
const extraSchema = z.looseObject({
  error: z.string().nullable(),
  outputs: z.array(
    z.object({
      path: z.string(),
      kind: z.enum(['file', 'folder']),
      object: z.string(),
      sha256: z.string(),
      size: z.int().nonnegative(),
    }),
  ),
  problems: z.array(z.object({ path: z.string(), message: z.string() })),
});
type Output = z.output<typeof extraSchema>['outputs'][number];

/** An output is not what its machine said it had sent; looking again makes no difference. */
class NotAsSent extends Error {}

/** Whether the result is here; `waits`: why something that is in the bucket is not, which is looked for again. */
export type Pulled = { isHere: boolean; waits: string | undefined };

/** There is no room for an output yet; the text says so. */
class NoRoom extends Error {}

/**
 * Brings the outputs of an ended attempt here, then its result document, which says to everybody that it has ended.
 * Errors: STORAGE_UNAVAILABLE; those of the file system.
 */
export async function pullResult(
  bucket: ObjectStorage,
  { prefix, folders, room }: { prefix: string; folders: AttemptLayout; room: Room },
  call: CallOptions,
): Promise<Pulled> {
  const text = await readObject(bucket, `${prefix}exit.json`, call);
  if (text === undefined) return { isHere: false, waits: undefined };
  const document = extraSchema.safeParse(parseJson(text.toString('utf8'))).data;
  // What makes no sense is kept as it is: whoever reads it says so.
  if (document === undefined) {
    await writeFileAtomic(folders.result, text);
    return { isHere: true, waits: undefined };
  }
  const { outputs } = document;
  const { waits, ...problem } = await bringOutputs(bucket, { outputs, prefix, folders, room }, call);
  const isUnwanted = waits !== undefined && (await isCanceled(folders));
  if (waits !== undefined && !isUnwanted) return { isHere: false, waits };
  // kill point: fetch/outputs-here
  const ended = problem.failedStep === undefined ? told(document) : { ...document, ...problem };
  const result = isUnwanted ? { ...document, stoppedBy: 'cancel', error: null } : ended;
  await writeFileAtomic(folders.result, JSON.stringify(result));
  // kill point: fetch/result-written
  return { isHere: true, waits: undefined };
}

/** Then nobody waits for room for what it has made. */
export async function isCanceled(folders: AttemptLayout): Promise<boolean> {
  return (await readStopNote(folders))?.reason === 'cancel';
}

type Place = { prefix: string; folders: AttemptLayout; room: Room };
type Brought = { waits?: string; error?: string; failedStep?: 'upload' };

/** Nothing where all of them are here. */
async function bringOutputs(
  bucket: ObjectStorage,
  { outputs, ...place }: Place & { outputs: readonly Output[] },
  call: CallOptions,
): Promise<Brought> {
  await mkdir(place.folders.outputs, { recursive: true, mode: 0o700 });
  // What a death left there takes room.
  await removeScratch([passingOf(place.folders)]);
  try {
    for (const output of outputs) await bringOne(bucket, { output, ...place }, call);
    return {};
  } catch (error) {
    if (error instanceof NoRoom) return { waits: error.message };
    if (!(error instanceof NotAsSent) && !(error instanceof BadArchive)) throw error;
    return { error: error.message, failedStep: 'upload' };
  }
}

async function bringOne(
  bucket: ObjectStorage,
  { output, prefix, folders, room }: Place & { output: Output },
  call: CallOptions,
): Promise<void> {
  const name = output.path.startsWith(OUTPUTS) ? output.path.slice(OUTPUTS.length) : '';
  const isPlain =
    name !== '' && !name.includes('\0') && !name.split('/').some((part) => /^\.{0,2}$/.test(part));
  if (!isPlain || !output.object.startsWith(`${prefix}outputs/`)) {
    throw new NotAsSent(
      `The machine names an output that is none: ${JSON.stringify(output.path.slice(0, 100))}.`,
    );
  }
  const target = join(folders.outputs, name);
  if (await pathExists(target)) return;
  // A folder lies here twice for a while: as it came, and as it is.
  const waits = room(output.kind === 'folder' ? 2 * output.size : output.size);
  if (waits !== undefined) throw new NoRoom(waits);
  const passing = passingOf(folders);
  await mkdir(passing, { recursive: true, mode: 0o700 });
  await mkdir(dirname(target), { recursive: true, mode: 0o700 });
  const file = join(passing, 'output');
  try {
    await fetchOutput(bucket, { output, name, file }, call);
    // kill point: fetch/output-fetched
    const made = output.kind === 'folder' ? join(passing, 'folder') : file;
    if (output.kind === 'folder') await unpackFolder(file, made);
    await rename(made, target);
    // kill point: fetch/output-named
    await syncFolder(dirname(target));
  } finally {
    await removeScratch([passing]);
  }
}

function passingOf({ dir }: AttemptLayout): string {
  return join(dir, 'passing');
}

/** Durable when it resolves: the result says that it is there. */
async function fetchOutput(
  bucket: ObjectStorage,
  { output, name, file }: { output: Output; name: string; file: string },
  call: CallOptions,
): Promise<void> {
  try {
    const stat = await bucket.stat(output.object, call);
    // There may be no room for what is larger than it should be.
    if (stat !== undefined && stat.size !== output.size)
      throw new NotAsSent(`${name} is not what the machine sent.`);
    const content = await bucket.get(output.object, call);
    await pipeline(content, createWriteStream(file, { mode: 0o600, flush: true }));
  } catch (error) {
    const isNone = isMissing(error) || (isGoldfishError(error) && error.code === 'PATH_OUTSIDE_ROOT');
    throw isNone ? new NotAsSent(`${name} is not in the bucket any more.`) : error;
  }
  const { hash, size } = await hashFile(file, call.signal);
  if (hash !== `sha256:${output.sha256}` || size !== output.size) {
    throw new NotAsSent(`${name} is not what the machine sent.`);
  }
}

/** Why what is missing is missing. */
function told(document: z.output<typeof extraSchema>): object {
  const { error, problems } = document;
  if (problems.length === 0 || error !== null) return document;
  const sentences = problems.map(({ path, message }) => `${path.replace(OUTPUTS, 'outputs/')} ${message}.`);
  return { ...document, error: sentences.join(' ').slice(0, 1000) };
}
