import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Fault } from '../gcs-emulator/faults.ts';

const PROGRAM = fileURLToPath(new URL('../gcs-emulator/main.ts', import.meta.url));

/** The emulator in a process of its own, as a service is: what it holds is not in this process's memory. */
export type EmulatorProcess = {
  url: string;
  /** Makes an empty bucket. */
  makeBucket(name: string): Promise<void>;
  /** Names of the objects whose upload was begun and neither finished nor cancelled. */
  openUploads(bucket: string): Promise<string[]>;
  /** Stores small objects without the adapter. */
  fill(bucket: string, names: readonly string[]): Promise<void>;
  /** Goes wrong from now on, see faults.ts there. */
  trouble(fault: Fault): Promise<void>;
  stop(): Promise<void>;
};

export async function startEmulatorProcess(): Promise<EmulatorProcess> {
  const child: ChildProcess = spawn(process.execPath, [PROGRAM], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const first = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout! }).once('line', resolve);
    child.once('exit', () => reject(new Error('the emulator ended before it was ready')));
  });
  const { url } = JSON.parse(first) as { url: string };
  const ask = async (path: string, body?: string): Promise<unknown> => {
    const response = await fetch(`${url}${path}`, body === undefined ? {} : { method: 'POST', body });
    if (!response.ok) throw new Error(`the emulator answered ${path} with ${response.status}`);
    return response.json();
  };
  return {
    url,
    makeBucket: async (name) => void (await ask('/storage/v1/b', JSON.stringify({ name }))),
    openUploads: async (bucket) => (await ask(`/emulator/uploads?bucket=${bucket}`)) as string[],
    fill: async (bucket, names) => {
      const insert = (name: string) =>
        ask(`/upload/storage/v1/b/${bucket}/o?uploadType=media&name=${encodeURIComponent(name)}`, name);
      for (let at = 0; at < names.length; at += 50) await Promise.all(names.slice(at, at + 50).map(insert));
    },
    trouble: async (fault) => void (await ask('/emulator/faults', JSON.stringify([fault]))),
    stop: async () => {
      child.stdin?.end();
      await ended;
    },
  };
}
