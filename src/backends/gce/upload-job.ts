import { readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { attemptPrefix } from '../../pool/documents.ts';
import type { CallOptions } from '../../storage/port.ts';
import { removeScratch, requireInputs } from '../materialise-inputs.ts';
import type { RunSpec, SpecInput } from '../port.ts';
import { type StoredObject, storeFile } from './bucket-files.ts';
import { jobDocument } from './job-content.ts';
import { type JobDocument, jobSchema } from './job-document.ts';
import type { NamedGceProfile } from './job-request.ts';
import type { GceDeps } from './options.ts';
import { packFolder } from './pack-folder.ts';
import { readObject } from './pull-document.ts';
import { rentedRuntimeSchema } from './runtime.ts';
import { storeProgram } from './store-program.ts';

/**
 * Puts into the bucket all that a machine needs for the attempt, the document that names it last. Done twice, it is done
 * once: content goes by its hash, and the document that is there stays.
 * Errors: INPUT_UNAVAILABLE, STORAGE_UNAVAILABLE, those of the file system.
 */
export async function uploadJob(
  deps: GceDeps,
  { spec, profile }: { spec: RunSpec; profile: NamedGceProfile },
  call: CallOptions,
): Promise<void> {
  const { bucket } = await deps.rented();
  const prefix = attemptPrefix(spec);
  const key = `${prefix}job.json`;
  const program = await storeProgram({ ...deps, bucket }, call);
  // kill point: send/program-stored
  const before = await readObject(bucket, key, call);
  // One that names the program of another version is of no use to a machine that is rented now.
  if (before?.includes(program.sha256) === true) return;
  await requireInputs(spec.inputs);
  const code = await storeFolder(deps, spec.codeDir, call);
  // kill point: send/code-stored
  const inputs: JobDocument['inputs'] = [];
  for (const input of spec.inputs) {
    inputs.push(await storeInput(deps, input, call));
    // kill point: send/input-stored
  }
  const document = jobDocument({
    spec,
    prefix,
    profile,
    runtime: rentedRuntimeSchema.parse(spec.runtime.data),
    program: program.sha256,
    code,
    inputs,
    checkpoints: await storeCheckpoints(deps, spec, call),
    syncSeconds: deps.defaults.logSyncSeconds,
    user: deps.user,
    projectMark: await deps.projectMark(),
  });
  await bucket.put(key, Buffer.from(JSON.stringify(jobSchema.parse(document))), call);
  // kill point: send/job-written
}

async function storeInput(
  deps: GceDeps,
  input: SpecInput,
  call: CallOptions,
): Promise<JobDocument['inputs'][number]> {
  const { fileName, kind, localPath, hash } = input;
  if (kind === 'folder') return { ...(await storeFolder(deps, localPath, call)), fileName, kind };
  const { bucket } = await deps.rented();
  const sha256 = hash.replace('sha256:', '');
  return { ...(await storeFile({ ...deps, bucket }, { file: localPath, sha256 }, call)), fileName, kind };
}

async function storeFolder(deps: GceDeps, folder: string, call: CallOptions): Promise<StoredObject> {
  const { bucket } = await deps.rented();
  const file = join(deps.layout.scratch, `${deps.ids.reference()}.tar`);
  try {
    await packFolder(folder, file, call.signal);
    // kill point: send/folder-packed
    return await storeFile({ ...deps, bucket }, { file }, call);
  } finally {
    await removeScratch([file]);
  }
}

/** What earlier attempts saved. The folder was a stage's: only plain files of it are sent. */
async function storeCheckpoints(
  deps: GceDeps,
  { checkpointsDir }: RunSpec,
  call: CallOptions,
): Promise<JobDocument['checkpoints']> {
  const { bucket } = await deps.rented();
  const entries = await readdir(checkpointsDir, { recursive: true, withFileTypes: true });
  const stored: JobDocument['checkpoints'] = [];
  for (const entry of entries) {
    const file = join(entry.parentPath, entry.name);
    const path = relative(checkpointsDir, file);
    // What begins with a dot was being made when its attempt ended.
    if (!entry.isFile() || path.startsWith('.')) continue;
    stored.push({ ...(await storeFile({ ...deps, bucket }, { file }, call)), path });
    // kill point: send/checkpoint-stored
  }
  return stored;
}
