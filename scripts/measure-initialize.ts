import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Time from starting a process to its answer to `initialize`: `goldfish serve` beside the smallest server the SDK can
 * make, alternating so that the machine's mood meets both. Two unmeasured rounds fill the file cache for both and, for
 * Goldfish, the cache of compiled code that its launcher keeps. `cold` is what the first start ever costs, without it.
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SDK = join(ROOT, 'node_modules/@modelcontextprotocol/sdk/dist/esm/server');
const SMALLEST = `import { Server } from ${JSON.stringify(`${SDK}/index.js`)};
import { StdioServerTransport } from ${JSON.stringify(`${SDK}/stdio.js`)};
await new Server({ name: 'smallest', version: '1' }, { capabilities: {} }).connect(new StdioServerTransport());
`;
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'measure', version: '1' } },
};

export type Measured = {
  /** Medians, milliseconds. */
  goldfish: number;
  smallest: number;
  ratio: number;
  /** Goldfish without its cache of compiled code. */
  cold: number;
  rounds: number;
};

export async function measureInitialize(rounds = 7): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'goldfish-initialize-'));
  try {
    const smallest = join(folder, 'smallest.mjs');
    writeFileSync(smallest, SMALLEST);
    const launcher = [join(ROOT, 'bin/goldfish.js'), 'serve'];
    const warm = { ...process.env, XDG_CACHE_HOME: join(folder, 'cache') };
    const cold = { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' };
    const subjects: Subject[] = [
      { command: launcher, env: warm, endsWithStdin: true },
      { command: [smallest], env: process.env, endsWithStdin: false },
      { command: launcher, env: cold, endsWithStdin: true },
    ];
    const times: number[][] = subjects.map(() => []);
    for (let round = -2; round < rounds; round += 1) {
      for (const [which, subject] of subjects.entries()) {
        const ms = await timeToAnswer(subject, folder);
        if (round >= 0) times[which]?.push(ms);
      }
    }
    const [goldfish = Number.NaN, least = Number.NaN, uncached = Number.NaN] = times.map(median);
    return { goldfish, smallest: least, ratio: goldfish / least, cold: uncached, rounds };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

type Subject = { command: readonly string[]; env: NodeJS.ProcessEnv; endsWithStdin: boolean };

async function timeToAnswer(subject: Subject, cwd: string): Promise<number> {
  const { command, env } = subject;
  const started = performance.now();
  const child = spawn(process.execPath, command, { cwd, env, stdio: ['pipe', 'pipe', 'ignore'] });
  try {
    child.stdin.write(`${JSON.stringify(INITIALIZE)}\n`);
    await firstLine(child);
    return performance.now() - started;
  } finally {
    // Goldfish ends with its stdin, and keeps its compiled code; the smallest server does not notice.
    if (subject.endsWithStdin) child.stdin.end();
    else child.kill('SIGKILL');
    await ended(child);
  }
}

async function ended(child: ChildProcess): Promise<void> {
  const deadline = setTimeout(() => child.kill('SIGKILL'), 5_000);
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  clearTimeout(deadline);
}

function firstLine(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (data: Buffer) => {
      text += data.toString('utf8');
      if (text.includes('\n')) resolve();
    });
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`ended without an answer: ${text}`)));
  });
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** `initialize: 210 ms; the SDK's smallest server 205 ms; ratio 1.02; first start ever 310 ms (medians of 7)`. */
export function describeMeasured({ goldfish, smallest, ratio, cold, rounds }: Measured): string {
  const parts = [
    `initialize: ${goldfish.toFixed(0)} ms`,
    `the SDK's smallest server ${smallest.toFixed(0)} ms`,
    `ratio ${ratio.toFixed(2)}`,
    `first start ever ${cold.toFixed(0)} ms (medians of ${rounds})`,
  ];
  return parts.join('; ');
}

if (import.meta.main) {
  const measured = await measureInitialize(Number(process.argv[2] ?? 7));
  console.log(describeMeasured(measured));
}
