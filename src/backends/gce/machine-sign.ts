import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { errnoOf } from '../../core/errors.ts';
import { parseJson } from '../../core/json.ts';
import type { AttemptLayout } from '../../core/layout.ts';

/** What the run wrapper says of itself, under another name than here: its pids are those of another machine. */
export const MACHINE_WRAPPER_FILE = 'machine.json';

const signSchema = z.looseObject({
  startedAt: z.string().nullable(),
  ranks: z.array(z.looseObject({ rank: z.int(), ended: z.boolean() })).default([]),
});

export type MachineSign = {
  /** When the program began; null before that, and where nobody knows. */
  startedAt: string | null;
  ranks: number;
  endedRanks: number[];
};

/** The last that is known here of how a machine's program goes. */
export async function machineSign({ dir }: AttemptLayout): Promise<MachineSign> {
  const found = signSchema.safeParse(parseJson(await readText(join(dir, MACHINE_WRAPPER_FILE)))).data;
  const ranks = found?.ranks ?? [];
  return {
    startedAt: found?.startedAt ?? null,
    ranks: Math.max(1, ranks.length),
    endedRanks: ranks.filter(({ ended }) => ended).map(({ rank }) => rank),
  };
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  }
}
