import type { Worker } from '../../core/rows.ts';
import { letterSchema } from '../../pool/documents.ts';

/** Whether the program of its job has ended, and what it made is on the way to the bucket. */
export function isSending({ letter, lease }: Pick<Worker, 'letter' | 'lease'>): boolean {
  const told = letterSchema.safeParse(letter).data;
  return told?.phase === 'sending' && told.number === lease?.number;
}
