import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import { assetPath } from '../../core/assets.ts';

/** `object`: its place in the bucket. The same sources give the same archive, wherever and whenever it is made. */
export type WorkerProgram = { archive: Buffer; sha256: string; size: number; object: string };

/** What a machine holds of ours: the worker program, the run wrapper, and what containers read. */
const FOLDERS = [
  { path: 'runtime', files: /^[^/]+\.py$/ },
  { path: 'runtime/worker', files: /^[^/]+\.py$/ },
  { path: 'sdk/python', files: /\.(py|typed)$/ },
  { path: 'sdk/node', files: /\.(m?js|ts|mts|json)$/ },
] as const;
const NOT_SHIPPED = /(^|\/)(__pycache__|node_modules)\/|^tsconfig\.json$/;
const MTIME = new Date(0);

let made: Promise<WorkerProgram> | undefined;

/** Made once in a process. */
export function workerProgram(): Promise<WorkerProgram> {
  made ??= makeWorkerProgram();
  return made;
}

/** The startup script of a machine, which fetches the archive. */
export function bootstrapScript(): Promise<string> {
  return readFile(assetPath('runtime/worker/bootstrap.py'), 'utf8');
}

async function makeWorkerProgram(): Promise<WorkerProgram> {
  const archive = pack();
  const whole = buffer(archive);
  for (const path of await programFiles()) {
    archive.entry({ name: path, mode: 0o644, mtime: MTIME }, await readFile(assetPath(path)));
  }
  archive.finalize();
  const bytes = await whole;
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { archive: bytes, sha256, size: bytes.length, object: `programs/${sha256}.tar` };
}

async function programFiles(): Promise<string[]> {
  const found = await Promise.all(
    FOLDERS.map(async ({ path, files }) => {
      const names = await readdir(assetPath(path), { recursive: true });
      const wanted = names.filter((name) => files.test(name) && !NOT_SHIPPED.test(name));
      return wanted.map((name) => join(path, name));
    }),
  );
  return found.flat().sort();
}
