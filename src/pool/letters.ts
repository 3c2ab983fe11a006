import { isDeepStrictEqual } from 'node:util';
import type { Worker } from '../core/rows.ts';
import type { PoolDeps } from './deps.ts';
import { type Letter, letterSchema } from './documents.ts';
import type { FoundLetter, NewLetter } from './mail.ts';
import type { CallOptions } from './port.ts';

export type Reading = {
  /** By worker: letters that tell something new. */
  news: ReadonlyMap<string, NewLetter>;
  /** Workers that may have written what nobody can read now. */
  unread: ReadonlySet<string>;
  /** Other workers of which something is kept. */
  others: ReadonlySet<string>;
};

export type Letters = { read(workers: readonly Worker[], options: CallOptions): Promise<Reading> };

/** Reads what machines tell, as far as it can be what they tell now. Never throws: who cannot be read is named. */
export function createLetters({ mail, log }: Pick<PoolDeps, 'mail' | 'log'>): Letters {
  // By worker: the generation of a letter that does not count, so that it is not read at each look.
  const refused = new Map<string, string>();
  let hasLooked = false;
  return {
    read: async (workers, options) => {
      const byId = new Map(workers.map((worker) => [worker.id, worker]));
      for (const id of refused.keys()) if (!byId.has(id)) refused.delete(id);
      // The first look is at what an earlier process may have left, too.
      if (byId.size === 0 && hasLooked) return { news: new Map(), unread: new Set(), others: new Set() };
      const known = new Map(
        workers.map(({ id, letterGeneration }) => [id, refused.get(id) ?? letterGeneration]),
      );
      try {
        const { letters, unread, others } = await mail.read(known, options);
        hasLooked = true;
        for (const { worker, error } of unread)
          log.warn({ worker, err: error }, 'a letter could not be read');
        const news = letters.flatMap((found) => newsOf(found, byId.get(found.worker)) ?? []);
        return {
          news: new Map(news.map((letter) => [letter.worker, letter])),
          unread: new Set(unread.map(({ worker }) => worker)),
          others,
        };
      } catch (error) {
        log.warn({ err: error }, 'the letters of the machines could not be read');
        return { news: new Map(), unread: new Set(byId.keys()), others: new Set() };
      }
    },
  };

  function newsOf(
    { worker: id, generation, letter }: FoundLetter,
    worker: Worker | undefined,
  ): NewLetter | undefined {
    // Of a job that it was given while this was read: the next look has both.
    if (letter !== undefined && worker !== undefined && letter.number > worker.jobNumber) return undefined;
    if (letter !== undefined && comesAfter(letter, lastLetterOf(worker))) {
      refused.delete(id);
      return { worker: id, generation, letter };
    }
    refused.set(id, generation);
    log.warn({ worker: id, generation }, 'a letter of a machine does not count');
    return undefined;
  }
}

/** What a worker has told last; undefined before it was heard of. */
export function lastLetterOf(worker: Pick<Worker, 'letter'> | undefined): Letter | undefined {
  return letterSchema.safeParse(worker?.letter).data;
}

/** How far a job is, by what is said of it. */
const STEPS: Readonly<Record<Letter['job'], number>> = { none: 0, claimed: 1, called_off: 2, ended: 2 };

/**
 * Whether a letter was written after another one. A write that was long on its way may put an older one in the place of a
 * newer: of an earlier boot, an earlier job, or an earlier step of it. The same letter twice is no sign of life.
 */
function comesAfter(letter: Letter, last: Letter | undefined): boolean {
  if (last === undefined) return true;
  if (letter.boot !== last.boot) return letter.boot > last.boot;
  if (letter.number !== last.number) return letter.number > last.number;
  if (last.phase === 'leaving' && letter.phase !== 'leaving') return false;
  // What was begun cannot be called off: that is another machine's.
  if (last.job === 'claimed' && letter.job === 'called_off') return false;
  return STEPS[letter.job] >= STEPS[last.job] && !isDeepStrictEqual(letter, last);
}
