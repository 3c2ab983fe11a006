import { beforeEach, describe, expect, it } from 'vitest';
import { GoldfishError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { createLosses, type Losses } from '../../src/pool/losses.ts';
import type { WorkerProvider } from '../../src/pool/port.ts';
import { workerRow } from './worker-row.ts';

const [A, B] = ['us-central1-a', 'us-central1-b'] as const;
const at = (id: string, zone: string) => workerRow({ id, zone });

let asked: string[];
/** By zone. */
let answers: Record<string, ReadonlySet<string> | Error>;
let logged: string[];
let losses: Losses;

beforeEach(() => {
  asked = [];
  answers = { [A]: new Set(['a-1']), [B]: new Set(['b-1']) };
  logged = [];
  const note = (_fields: object, message: string): void => void logged.push(message);
  const log: Logger = { debug: note, info: note, warn: note, error: note };
  const preempted = async (zone: string): Promise<ReadonlySet<string>> => {
    asked.push(zone);
    const answer = answers[zone] ?? new Set();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  losses = createLosses({ provider: { preempted } as unknown as WorkerProvider, log });
});

const failure = (retryable: boolean): Error =>
  new GoldfishError('BACKEND_UNAVAILABLE', { message: 'no', retryable });

/** What one look tells of workers that are all lost. */
async function look(...workers: ReturnType<typeof workerRow>[]): Promise<string[]> {
  const judged = { reason: 'vanished' } as const;
  const explain = await losses.ask(
    workers.map((worker) => ({ worker, judged })),
    {},
  );
  return workers.map(explain);
}

describe('why machines are lost', () => {
  it('is asked once for all of a zone, and of one zone in a look', async () => {
    const all = [at('a-1', A), at('b-1', B), at('a-2', A), at('b-2', B)];
    expect(await look(...all)).toEqual(['preempted', 'later', 'unknown', 'later']);
    expect(await look(...all.filter(({ zone }) => zone === B))).toEqual(['preempted', 'unknown']);
    expect(asked).toEqual([A, B]);
  });

  it('is asked of each zone in its turn, also while one does not answer', async () => {
    answers[A] = failure(true);
    const all = [at('a-1', A), at('b-1', B)];
    expect(await look(...all)).toEqual(['later', 'later']);
    expect(await look(...all)).toEqual(['later', 'preempted']);
    expect(await look(...all)).toEqual(['later', 'later']);
    expect(asked).toEqual([A, B, A]);
    expect(new Set(logged)).toEqual(new Set(['why machines ended cannot be asked']));
  });

  it('is unknown where it may never be asked', async () => {
    answers[A] = failure(false);
    expect(await look(at('a-1', A))).toEqual(['unknown']);
  });

  it('is not asked of machines that are there, or that went by rules of ours', async () => {
    const explain = await losses.ask(
      [
        { worker: at('a-1', A), judged: {} },
        { worker: at('b-1', B), judged: { reason: 'silent' } },
        { worker: workerRow({ zone: null }), judged: { reason: 'vanished' } },
      ],
      {},
    );
    expect([explain(at('a-1', A)), asked]).toEqual(['unknown', []]);
  });
});
