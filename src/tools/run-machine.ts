import { z } from 'zod';
import type { RunMachine } from '../pool/run-machines.ts';

/** The rented machine of an attempt, in results. */
export const machineShape = z.object({
  worker: z.string(),
  zone: z.string().nullable(),
  model: z.string().nullable().describe('standard or spot'),
  warm: z.boolean().describe('It was there already'),
  saved_seconds: z.number().nullable().describe('By that, against the median of cold starts: an estimate'),
});

export function toMachine(machine: RunMachine): z.infer<typeof machineShape> {
  const { workerId: worker, zone, model, warm, savedSeconds } = machine;
  return { worker, zone, model, warm, saved_seconds: savedSeconds === null ? null : rounded(savedSeconds) };
}

/** Of a run, by the machine of its newest attempt; nothing where it has none. */
export function warmPart(machine: RunMachine | undefined): { warm?: boolean; saved_seconds?: number } {
  if (machine === undefined) return {};
  const { warm, savedSeconds } = machine;
  return { warm, ...(savedSeconds === null ? {} : { saved_seconds: rounded(savedSeconds) }) };
}

function rounded(seconds: number): number {
  return Number(seconds.toFixed(1));
}
