import { describe, expect, it } from 'vitest';
import type { Row } from '../../../src/cli/render/fields.ts';
import { poolText } from '../../../src/cli/render/pool.ts';
import { colourStyle, plainStyle, type Style } from '../../../src/cli/render/style.ts';

function textOf(answer: Row, options: { columns?: number; style?: Style } = {}): string {
  const sink = { write: () => undefined, isTerminal: true, columns: () => options.columns };
  return poolText(answer, { style: options.style ?? plainStyle, streams: { out: sink, err: sink } });
}

const WORKER = {
  worker: 'goldfish-aaaaaaaaaaaa',
  state: 'busy',
  profile: 'cpu-small',
  zone: 'us-central1-a',
  model: 'spot',
  run_id: 'stage-000000000002',
  age_seconds: 3725,
  cost: 0.3725,
  heard_seconds_ago: 12,
};
const ANSWER = {
  enabled: true,
  why: null,
  limits: { max_instances: 2, idle_timeout_seconds: 300, profiles: null },
  workers: [WORKER],
  starts: 4,
  warm_starts: 3,
  hit_rate: 0.75,
  seconds_saved: 210,
  money_saved: 0.021,
  machines: 1,
  cost: 0.3725,
};

describe('the pool on a terminal', () => {
  it('is what is kept, a table of machines, and what they saved and cost', () => {
    expect(textOf(ANSWER)).toBe(
      [
        'Kept for the next run: up to 2, each for 5 min 00 s without work.',
        'WORKER                 STATE  PROFILE    ZONE           MODEL  RUN                        AGE    COST  HEARD OF',
        'goldfish-aaaaaaaaaaaa  busy   cpu-small  us-central1-a  spot   stage-000000000002  1 h 02 min  0.3725      12 s',
        'Warm starts: 3 of 4 (75 %); saved about 3 min 30 s and 0.021.',
        'Rented in all: 1, for about 0.3725.',
      ].join('\n'),
    );
  });

  it('shows how many images machines hold and their driver, where they have told it', () => {
    const told = { ...WORKER, images: 2, driver: '550.54.15' };
    const [, head, row] = textOf({ ...ANSWER, workers: [told] }).split('\n');
    expect(head).toMatch(/HEARD OF {2}IMAGES {2}DRIVER$/);
    expect(row).toMatch(/12 s {7}2 {2}550\.54\.15$/);
  });

  it('says why nothing is kept, and where there is no machine', () => {
    const why = 'gce.warm_pool.enabled is false: each machine is given back after its run.';
    const nothing = { workers: [], starts: 0, warm_starts: 0, machines: 0, cost: 0, hit_rate: null };
    expect(textOf({ ...ANSWER, ...nothing, enabled: false, why })).toBe(`${why}\nThere is no machine now.`);
  });

  it('says last that nobody looks after the machines', () => {
    const message = 'Nobody looks after rented machines: nothing is set. Start one.';
    const errors = [{ component: 'supervisor', message }];
    expect(
      textOf({ ...ANSWER, errors })
        .split('\n')
        .at(-1),
    ).toBe(message);
  });

  it('names the profiles that are meant, and how many machines are left out', () => {
    const limits = { ...ANSWER.limits, profiles: ['cpu-small', 'h100-spot'] };
    const lines = textOf({ ...ANSWER, limits, workers_omitted: 88 }).split('\n');
    expect(lines[0]).toBe(
      'Kept for the next run: up to 2 of cpu-small, h100-spot, each for 5 min 00 s without work.',
    );
    expect(lines).toContain('88 more are not shown; --json has the counts.');
  });

  it('says nothing of money or time that is not known', () => {
    const text = textOf({ ...ANSWER, seconds_saved: null, money_saved: null, cost: null });
    expect(text).toContain('Warm starts: 3 of 4 (75 %).\nRented in all: 1.');
  });

  it('is cut to the width of the terminal, and coloured by state', () => {
    const narrow = textOf(ANSWER, { columns: 105 }).split('\n').slice(1, 3);
    expect(Math.max(...narrow.map((line) => line.length))).toBeLessThanOrEqual(105);
    const rows = [WORKER, { ...WORKER, state: 'idle_ready' }, { ...WORKER, state: 'draining' }];
    const coloured = textOf({ ...ANSWER, workers: rows }, { style: colourStyle });
    expect(coloured).toContain('\u001b[36mbusy      \u001b[39m');
    expect(coloured).toContain('\u001b[32midle_ready\u001b[39m');
    expect(coloured).toContain('\u001b[2mdraining  \u001b[22m');
  });
});
