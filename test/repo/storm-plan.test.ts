import { expect, it } from 'vitest';
import { createRandom } from '../faults/kit/random.ts';
import { type Blow, blows, dueWithin, gusts } from '../faults/storm/plan.ts';

function first(seed: number, count: number): Blow[] {
  const storm = blows(seed, ['server', 'supervisor']);
  return Array.from({ length: count }, () => storm.next().value);
}

it('blows the same storm for the same seed, and another one for another', () => {
  expect(first(7, 200)).toEqual(first(7, 200));
  expect(first(7, 200)).not.toEqual(first(8, 200));
  expect(first(7, 2).map(({ pauseMs, victim, comesBack }) => ({ pauseMs, victim, comesBack }))).toEqual([
    { pauseMs: 207, victim: 'server', comesBack: false },
    { pauseMs: 513, victim: 'server', comesBack: true },
  ]);
});

it('lets everybody be hit, and clients come back for about half of the blows', () => {
  const many = first(1, 2_000);
  expect(new Set(many.map(({ victim }) => victim))).toEqual(new Set(['server', 'supervisor']));
  expect(many.every(({ pauseMs }) => pauseMs >= 200 && pauseMs <= 800)).toBe(true);
  const back = many.filter(({ comesBack }) => comesBack).length;
  expect(back).toBeGreaterThan(900);
  expect(back).toBeLessThan(1_100);
});

it('lets supervisors live for seconds after each few blows at them, also where nobody else is hit', () => {
  const plan = gusts(5, ['supervisor']);
  const many = Array.from({ length: 500 }, () => plan.next().value);
  const lulls = many.flatMap(({ lull }, at) => (lull ? [at] : []));
  const between = lulls.slice(1).map((at, n) => at - (lulls[n] ?? 0));
  expect(new Set(between)).toEqual(new Set([3, 4, 5, 6]));
  expect(lulls.every((at) => (many[at]?.pauseMs ?? 0) >= 4_000 && many[at - 1]?.comesBack === true)).toBe(
    true,
  );
  const plain = blows(5, ['supervisor']);
  for (const { victim, which } of many) expect(plain.next().value).toMatchObject({ victim, which });
});

it('says how many blows are due within a time', () => {
  const [one, two] = first(7, 2).map(({ pauseMs }) => pauseMs) as [number, number];
  const due = (ms: number) => dueWithin(blows(7, ['server', 'supervisor']), ms);
  expect([one - 1, one, one + two - 1, one + two].map(due)).toEqual([0, 1, 1, 2]);
});

it('chooses some of many, each at most once', () => {
  const numbers = Array.from({ length: 30 }, (_, n) => n);
  const some = createRandom(3).some(numbers, 10);
  expect(new Set(some).size).toBe(10);
  expect(createRandom(3).some(numbers, 10)).toEqual(some);
  expect(
    createRandom(3)
      .some(numbers, 100)
      .sort((a, b) => a - b),
  ).toEqual(numbers);
});
