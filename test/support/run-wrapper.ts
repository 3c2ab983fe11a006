import { execFileSync, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { readLog } from '../../src/backends/log-segments.ts';
import { wrapperRequest } from '../../src/backends/start-wrapper.ts';
import type { RankSpec, WrapperSpec } from '../../src/backends/wrapper-spec.ts';
import { assetPath } from '../../src/core/assets.ts';
import { systemIds } from '../../src/core/ids.ts';

/** The interpreter itself: what stands on PATH may be a script that looks for it, slowly. */
export const PYTHON = execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], {
  encoding: 'utf8',
}).trim();
const WRAPPER = assetPath('runtime/run_wrapper.py');
const NO_SECRETS = wrapperRequest({});

type MakeProgram = (control: string, attempt: { dir: string; runId: string }) => RankSpec['program'];

/** A folder as a launch leaves it: one program per rank. Rank 0 has the attempt's control folder. */
export async function attemptFolder(
  home: string,
  programs: readonly MakeProgram[],
  change: Partial<WrapperSpec> = {},
): Promise<string> {
  const dir = await mkdtemp(join(home, 'attempt-'));
  const runId = systemIds.run();
  const ranks: RankSpec[] = [];
  for (const [rank, make] of programs.entries()) {
    const control = join(dir, ...(rank === 0 ? [] : ['ranks', `${rank}`]), 'control');
    await mkdir(control, { recursive: true });
    ranks.push({ rank, control, program: make(control, { dir, runId }) });
  }
  const spec: WrapperSpec = {
    schema: 2,
    runId,
    attempt: 1,
    timeoutSeconds: 30,
    stopGraceSeconds: 1,
    wakeSocket: null,
    ranks,
    ...change,
  };
  await writeFile(join(dir, 'spec.json'), JSON.stringify(spec));
  return dir;
}

type Ended = { code: number | null; answer: string; pid: number };

export function startWrapper(
  dir: string,
  input = NO_SECRETS,
  wrapper = WRAPPER,
): { pid: number; ended: Promise<Ended> } {
  const child = spawn(PYTHON, ['-I', '-S', '-B', wrapper, dir], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const code = new Promise<number | null>((resolve) => child.once('close', resolve));
  const ended = Promise.all([text(child.stdout), code]).then(([answer, exit]) => ({
    answer,
    code: exit,
    pid: child.pid!,
  }));
  return { pid: child.pid!, ended };
}

export async function wrapperResult(dir: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(dir, 'exit.json'), 'utf8'));
}

/** `o text`, `e text`: the streams and texts of the whole log. */
export async function wrapperLog(dir: string): Promise<string[]> {
  const lines: string[] = [];
  for (let cursor = 0; ; ) {
    const page = await readLog({ dir: join(dir, 'log'), cursor, limitLines: 1e6, limitBytes: 1e9 });
    for (const line of page.lines) lines.push(`${line.stream === 'stderr' ? 'e' : 'o'} ${line.text}`);
    cursor = page.nextOffset;
    if (!page.more) return lines;
  }
}
