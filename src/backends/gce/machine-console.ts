import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { z } from 'zod';
import { parseJson } from '../../core/json.ts';
import type { JobKey } from '../../core/rows.ts';
import { writeFileAtomic } from '../../os/files.ts';
import type { KeepConsole } from '../../pool/deps.ts';
import { appendLog, readLogTail } from '../log-segments.ts';
import type { GceBackendOptions } from './options.ts';

const FILE = 'console.json';
const MOST_LINES = 40;
const MOST_CHARACTERS = 8 * 1024;
/** Of a line within a sentence; a traceback says at its end what went wrong. */
const MOST_QUOTED = 300;
/** Before each line of our programs there. */
const OURS = 'goldfish: ';
/** What they say of its end, not of why it ends. */
const OF_THE_END = /leaves: |gives up|ask(ed)? for its deletion|switches itself off/;

const consoleSchema = z.object({ worker: z.string(), lines: z.array(z.string()) });

type Deps = Pick<GceBackendOptions, 'layout' | 'clock' | 'log' | 'hide'>;

/**
 * Keeps the end of what a lost machine wrote with the attempt. Where it never began the job it goes into the log at once;
 * else behind what the machine has sent of the log, once nothing of that is to come: see `tellConsole`.
 */
export async function keepConsole(deps: Deps, of: Parameters<KeepConsole>[0]): Promise<void> {
  const { job, workerId: worker, begun, text } = of;
  const lines = tailOf(deps.hide(stripVTControlCharacters(text)));
  if (lines.length === 0) return;
  const { dir } = deps.layout.attempt(job.runId, job.attempt);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await writeFileAtomic(join(dir, FILE), JSON.stringify({ worker, lines }));
  if (!begun) await tellConsole(deps, { ...job, workerId: worker });
}

/**
 * Writes what is kept of a machine behind the attempt's log, once; that it cannot be written keeps nobody from an end. Returns
 * a sentence with what says most of it; undefined where nothing of this machine is kept.
 */
export async function tellConsole(
  deps: Deps,
  of: JobKey & { workerId: string },
): Promise<string | undefined> {
  const { dir, log } = deps.layout.attempt(of.runId, of.attempt);
  const kept = await read(join(dir, FILE));
  if (kept?.worker !== of.workerId) return undefined;
  const prefix = `[machine ${of.workerId}] `;
  const texts = kept.lines.map((line) => prefix + line);
  try {
    const { lines } = await readLogTail({ dir: log, lines: 1 });
    if (!lines.at(-1)?.text.startsWith(prefix))
      await appendLog({ dir: log, stream: 'build', texts, now: deps.clock.now() });
  } catch (error) {
    deps.log.warn(
      { run: of.runId, err: error },
      'the last words of a machine could not be written into the log',
    );
  }
  return `The last it wrote to its serial port: ${quoted(kept.lines)}`;
}

async function read(file: string): Promise<z.output<typeof consoleSchema> | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : consoleSchema.safeParse(parseJson(text)).data;
}

/** Without empty lines, and what moves the cursor. */
function tailOf(text: string): string[] {
  const lines = text
    .split('\n')
    .map((line) => line.replaceAll(/\p{Cc}+/gu, ' ').trimEnd())
    .filter((line) => line !== '')
    .slice(-MOST_LINES);
  const kept: string[] = [];
  let left = MOST_CHARACTERS;
  for (const line of lines.reverse()) {
    if (left <= 0) break;
    kept.unshift(line.slice(-left));
    left -= line.length;
  }
  return kept;
}

/** What our programs said last on the machine; where they said nothing, its last line. */
function quoted(lines: readonly string[]): string {
  const ours = lines.findLast((line) => line.includes(OURS) && !OF_THE_END.test(line));
  const line = ours?.slice(ours.indexOf(OURS)) ?? lines.at(-1) ?? '';
  return line.length <= MOST_QUOTED ? line : `…${line.slice(-MOST_QUOTED)}`;
}
