import { expect, it } from 'vitest';
import { mixedCalls } from '../../support/mixed-calls-project.ts';
import { keptPromise, LONG, SEED } from '../kit/outcome.ts';

const OF = { calls: 200, runs: 8 };
/** With 24 calls each it is a part of `npm test`: test/integration/concurrency.test.ts. */
const WHY = LONG ? '' : ' (only in the long form)';

it.skipIf(!LONG)(`four servers and two commands, 200 mixed calls each, on one project${WHY}`, async () => {
  const { made, problems, executed, seconds } = await mixedCalls({ ...OF, seed: SEED });
  const refused = made.filter(({ outcome }) => outcome !== 'ok').length;
  const fault = 'four servers and two commands at work on one project';
  const note = `${refused} calls rightly refused, ${executed} runs executed, ${Math.round(seconds)} s`;
  expect(problems).toEqual([]);
  const held = made.length - problems.length;
  keptPromise({ fault, promise: 'no-busy', trials: made.length, held, note });
});
