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
import { readObject } from './pull-document.ts';
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

/**
 * Brings the outputs of an ended attempt here, then its result document, which says to everybody that it has ended. True
 * where there was one. Errors: STORAGE_UNAVAILABLE; those of the file system.
 */
export async function pullResult(
  bucket: ObjectStorage,
  { prefix, folders }: { prefix: string; folders: AttemptLayout },
  call: CallOptions,
): Promise<boolean> {
  const text = await readObject(bucket, `${prefix}exit.json`, call);
  if (text === undefined) return false;
  const document = extraSchema.safeParse(parseJson(text.toString('utf8'))).data;
  // What makes no sense is kept as it is: whoever reads it says so.
  if (document === undefined) {
    await writeFileAtomic(folders.result, text);
    return true;
  }
  const problem = await bringOutputs(bucket, { outputs: document.outputs, prefix, folders }, call);
  // kill point: fetch/outputs-here
  const result = problem === undefined ? told(document) : { ...document, ...problem };
  await writeFileAtomic(folders.result, JSON.stringify(result));
  // kill point: fetch/result-written
  return true;
}

type Bringing = { outputs: readonly Output[]; prefix: string; folders: AttemptLayout };

async function bringOutputs(
  bucket: ObjectStorage,
  { outputs, prefix, folders }: Bringing,
  call: CallOptions,
): Promise<{ error: string; failedStep: 'upload' } | undefined> {
  await mkdir(folders.outputs, { recursive: true, mode: 0o700 });
  try {
    for (const output of outputs) await bringOne(bucket, { output, prefix, folders }, call);
    return undefined;
  } catch (error) {
    if (!(error instanceof NotAsSent) && !(error instanceof BadArchive)) throw error;
    return { error: error.message, failedStep: 'upload' };
  }
}

async function bringOne(
  bucket: ObjectStorage,
  { output, prefix, folders }: { output: Output; prefix: string; folders: AttemptLayout },
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
  const passing = join(folders.dir, 'passing');
  await mkdir(passing, { recursive: true, mode: 0o700 });
  await mkdir(dirname(target), { recursive: true, mode: 0o700 });
  const file = join(passing, 'output');
  try {
    await fetchOutput(bucket, { output, name, file }, call);
    // kill point: fetch/output-fetched
    if (output.kind === 'file') await rename(file, target);
    else await unpackFolder(file, target);
    // kill point: fetch/output-named
    await syncFolder(dirname(target));
  } finally {
    await removeScratch([passing]);
  }
}

/** Durable when it resolves: the result says that it is there. */
async function fetchOutput(
  bucket: ObjectStorage,
  { output, name, file }: { output: Output; name: string; file: string },
  call: CallOptions,
): Promise<void> {
  try {
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
