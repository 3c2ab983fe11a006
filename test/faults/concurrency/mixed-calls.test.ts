import { expect, it } from 'vitest';
import { mixedCalls } from '../../support/mixed-calls-project.ts';
import { keptPromise, LONG, SEED } from '../kit/outcome.ts';

const OF = LONG ? { calls: 200, runs: 8 } : { calls: 24, runs: 2 };

it(`four servers and two commands, ${OF.calls} mixed calls each, on one project`, async () => {
  const { made, problems, executed, seconds } = await mixedCalls({ ...OF, seed: SEED });
  const refused = made.filter(({ outcome }) => outcome !== 'ok').length;
  const fault = 'four servers and two commands at work on one project';
  const note = `${refused} calls rightly refused, ${executed} runs executed, ${Math.round(seconds)} s`;
  expect(problems).toEqual([]);
  const held = made.length - problems.length;
  keptPromise({ fault, promise: 'no-busy', trials: made.length, held, note });
});
