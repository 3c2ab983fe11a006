import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Time from starting a process to its answer to `initialize`: Goldfish beside the smallest server the SDK can make,
 * alternating so that the machine's mood meets both. Run alone it prints the table.
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
  rounds: number;
};

export async function measureInitialize(rounds = 7): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'goldfish-initialize-'));
  try {
    const smallest = join(folder, 'smallest.mjs');
    writeFileSync(smallest, SMALLEST);
    const commands = [[join(ROOT, 'src/mcp/main.ts')], [smallest]];
    const times: number[][] = [[], []];
    // One round unmeasured: it fills the file cache for both.
    for (let round = -1; round < rounds; round += 1) {
      for (const [which, command] of commands.entries()) {
        const ms = await timeToAnswer(command, folder);
        if (round >= 0) times[which]?.push(ms);
      }
    }
    const [goldfish, least] = times.map(median);
    if (goldfish === undefined || least === undefined) throw new Error('nothing was measured');
    return { goldfish, smallest: least, ratio: goldfish / least, rounds };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function timeToAnswer(command: readonly string[], cwd: string): Promise<number> {
  const started = performance.now();
  const child = spawn(process.execPath, command, { cwd, stdio: ['pipe', 'pipe', 'ignore'] });
  try {
    child.stdin.write(`${JSON.stringify(INITIALIZE)}\n`);
    await firstLine(child);
    return performance.now() - started;
  } finally {
    child.kill('SIGKILL');
  }
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

/** `initialize: 210 ms; the SDK's smallest server 205 ms; ratio 1.02 (median of 7)`. */
export function describeMeasured(measured: Measured): string {
  const { goldfish, smallest, ratio, rounds } = measured;
  return `initialize: ${goldfish.toFixed(0)} ms; the SDK's smallest server ${smallest.toFixed(0)} ms; ratio ${ratio.toFixed(2)} (median of ${rounds})`;
}

if (import.meta.main) {
  const measured = await measureInitialize(Number(process.argv[2] ?? 7));
  console.log(describeMeasured(measured));
}
