import type { Worker } from '../../src/core/rows.ts';
import type { Letter } from '../../src/pool/documents.ts';

export const WORKER = 'goldfish-0123456789ab';
const AT = '2026-01-01T00:00:00.000Z';
const JOB = { runId: 'stage-000001', attempt: 1, warm: false, assignedAt: AT };

/** A machine that works on its first job. */
export function workerRow(change: Partial<Worker> = {}): Worker {
  return {
    id: WORKER,
    state: 'busy',
    pooled: true,
    profile: 'cpu-small',
    shape: 'cpu-small',
    zone: 'us-central1-a',
    model: 'standard',
    pricePerHour: 0.1,
    lease: { ...JOB, number: 1, claimedAt: AT },
    jobNumber: 1,
    assignmentGeneration: '1',
    letter: letterOf(),
    letterGeneration: '1000',
    letterAt: AT,
    createdAt: AT,
    stateAt: AT,
    placedAt: AT,
    placeNumber: 1,
    runningAt: AT,
    absentSince: null,
    absentCount: 0,
    endReason: null,
    goneAt: null,
    ...change,
  };
}

/** Its job, not begun as far as anybody knows. */
export const UNCLAIMED: Worker['lease'] = { ...JOB, number: 1, claimedAt: null };

export function letterOf(change: Partial<Letter> = {}): Letter {
  return {
    schema: 1,
    worker: WORKER,
    boot: 1,
    phase: 'working',
    number: 1,
    job: 'claimed',
    leaves: null,
    publicKey: null,
    images: [],
    driver: null,
    at: AT,
    ...change,
  };
}
