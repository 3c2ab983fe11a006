import { constants } from 'node:fs';
import { chmod, type FileHandle, mkdir, open, readlink, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../core/errors.ts';
import { clip } from '../core/names.ts';
import { changedWhileRead, type Survey, type SurveyedEntry, stampOf } from './survey-source.ts';

const CHUNK = 1 << 20;
const ZEROS = Buffer.alloc(CHUNK);

type Copy = {
  /** A file or folder without a link in its path. */
  from: string;
  /** Where the copy will be; its parent exists. */
  into: string;
  survey: Survey;
  /** Bytes copied so far. */
  progress?: ((copied: number) => void) | undefined;
  signal?: AbortSignal | undefined;
};

/** Copies what was surveyed, in constant memory; holes stay holes. Errors: CONFLICT where something changed meanwhile. */
export async function copySource(copy: Copy): Promise<void> {
  const buffer = Buffer.allocUnsafe(CHUNK);
  let copied = 0;
  for (const entry of copy.survey.entries) {
    copy.signal?.throwIfAborted();
    const target = join(copy.into, entry.path);
    if (entry.kind === 'folder') await mkdir(target, { mode: 0o700 });
    else if (entry.kind === 'link') await symlink(entry.target, target);
    else {
      await withSource(join(copy.from, entry.path), entry, (source) =>
        copyFile({ source, target, buffer, signal: copy.signal }),
      );
      await chmod(target, entry.executable ? 0o755 : 0o644);
      copied += entry.size;
      copy.progress?.(copied);
    }
  }
}

type SurveyedFile = Extract<SurveyedEntry, { kind: 'file' }>;

/** The opened file is the surveyed one, before and after the work. */
export async function withSource<T>(
  path: string,
  entry: SurveyedFile,
  work: (source: FileHandle) => Promise<T>,
): Promise<T> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const what = entry.path === '' ? 'the file' : `"${clip(entry.path)}"`;
  const source = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch((error: unknown) => {
    throw ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')
      ? changedWhileRead(`${what} went away`)
      : error;
  });
  try {
    const same = async (): Promise<boolean> => stampOf(await source.stat({ bigint: true })) === entry.stamp;
    // A folder on the way may have become a link since: the kernel knows what was really opened.
    const opened = await readlink(`/proc/self/fd/${source.fd}`).catch(() => path);
    if (opened !== path || !(await same())) throw changedWhileRead(`${what} is another file now`);
    const result = await work(source);
    if (!(await same())) throw changedWhileRead(`${what} was written to`);
    return result;
  } finally {
    await source.close();
  }
}

async function copyFile(work: {
  source: FileHandle;
  target: string;
  buffer: Buffer;
  signal: AbortSignal | undefined;
}): Promise<void> {
  const { source, buffer } = work;
  const target = await open(work.target, 'wx', 0o600);
  try {
    let position = 0;
    for (;;) {
      work.signal?.throwIfAborted();
      const { bytesRead } = await source.read(buffer, 0, CHUNK, position);
      if (bytesRead === 0) break;
      const isHole = buffer.compare(ZEROS, 0, bytesRead, 0, bytesRead) === 0;
      if (!isHole) await writeAll(target, buffer.subarray(0, bytesRead), position);
      position += bytesRead;
    }
    // What ends in a hole is as long as it was.
    await target.truncate(position);
  } finally {
    await target.close();
  }
}

/** One write may take less than it is given. */
async function writeAll(target: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await target.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
