import { expect, it } from 'vitest';
import { SIGNAL_TYPES, signalFileName } from '../../src/core/signals.ts';

it('gives each type the file or folder name the documents promise', () => {
  expect(Object.fromEntries(SIGNAL_TYPES.map((type) => [type, signalFileName('x', type)]))).toEqual({
    dataset: 'x',
    npy: 'x.npy',
    npz: 'x.npz',
    csv: 'x.csv',
    parquet: 'x.parquet',
    json: 'x.json',
    file: 'x',
    directory: 'x',
  });
});
