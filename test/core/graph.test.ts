import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dependents, findCycle, type Needs, topologicalOrder } from '../../src/core/graph.ts';

const node = fc.integer({ min: 0, max: 9 }).map((n) => `n${n}`);

/** Any graph: cycles, self-loops, repeated needs and needs that are no nodes included. */
const anyGraph: fc.Arbitrary<Needs> = fc
  .dictionary(node, fc.array(fc.oneof(node, fc.constant('unknown')), { maxLength: 4 }), { maxKeys: 10 })
  .map((graph) => new Map(Object.entries(graph)));

/** A graph without cycles: each node needs earlier ones only; inserted in any order. */
const anyDag: fc.Arbitrary<Needs> = fc
  .array(fc.array(fc.nat(), { maxLength: 3 }), { maxLength: 10 })
  .chain((rows) => {
    const entries = rows.map((picks, i): [string, string[]] => [
      `n${i}`,
      i === 0 ? [] : picks.map((pick) => `n${pick % i}`),
    ]);
    return fc.shuffledSubarray(entries, { minLength: entries.length }).map((shuffled) => new Map(shuffled));
  });

describe('topologicalOrder', () => {
  it('places every node of a graph without cycles once, after everything it needs', () => {
    fc.assert(
      fc.property(anyDag, (needs) => {
        const order = topologicalOrder(needs);
        expect([...order].sort()).toEqual([...needs.keys()].sort());
        for (const [name, requirements] of needs) {
          for (const need of requirements) {
            expect(order.indexOf(need)).toBeLessThan(order.indexOf(name));
          }
        }
      }),
    );
  });

  it('keeps independent nodes in the order they were written', () => {
    const needs = new Map([
      ['b', []],
      ['a', []],
      ['c', ['b']],
    ]);
    expect(topologicalOrder(needs)).toEqual(['b', 'a', 'c']);
  });

  it('leaves out the nodes of a cycle and what stands behind them', () => {
    const needs = new Map([
      ['a', ['b']],
      ['b', ['a']],
      ['c', ['a']],
      ['d', []],
    ]);
    expect(topologicalOrder(needs)).toEqual(['d']);
  });

  it('ignores needs that are no nodes', () => {
    expect(topologicalOrder(new Map([['a', ['elsewhere']]]))).toEqual(['a']);
  });

  it('orders a straight line of 2,000 nodes written backwards', () => {
    const names = Array.from({ length: 2_000 }, (_, i) => `n${i}`);
    const needs = new Map(
      names.map((name, i): [string, string[]] => [name, i === 0 ? [] : [`n${i - 1}`]]).reverse(),
    );
    expect(topologicalOrder(needs)).toEqual(names);
  });
});

describe('findCycle', () => {
  it('finds a closed walk exactly when not every node can be placed', () => {
    fc.assert(
      fc.property(anyGraph, (needs) => {
        const cycle = findCycle(needs);
        expect(cycle === undefined).toBe(topologicalOrder(needs).length === needs.size);
        if (cycle === undefined) return;
        expect(cycle.length).toBeGreaterThan(1);
        expect(cycle[0]).toBe(cycle.at(-1));
        for (const [i, name] of cycle.slice(0, -1).entries()) {
          expect(needs.get(name)).toContain(cycle[i + 1]);
        }
        expect(new Set(cycle).size).toBe(cycle.length - 1);
      }),
    );
  });

  it('names a stage that needs itself', () => {
    expect(findCycle(new Map([['a', ['a']]]))).toEqual(['a', 'a']);
  });

  it('names only the cycle, not the way to it', () => {
    const needs = new Map([
      ['a', ['b']],
      ['b', ['c']],
      ['c', ['b']],
    ]);
    expect(findCycle(needs)).toEqual(['b', 'c', 'b']);
  });
});

describe('dependents', () => {
  it('finds everything that cannot do without a node, and nothing else', () => {
    fc.assert(
      fc.property(anyDag, fc.nat(), (needs, pick) => {
        const names = [...needs.keys()];
        const name = names[pick % Math.max(1, names.length)];
        if (name === undefined) return;
        const found = dependents(needs, name);
        const direct = names.filter((other) => needs.get(other)?.includes(name));
        const expected = new Set(direct.flatMap((other) => [other, ...dependents(needs, other)]));
        expect([...found].sort()).toEqual([...expected].sort());
      }),
    );
  });

  it('ends on a cycle and leaves out the node itself', () => {
    const needs = new Map([
      ['a', ['b']],
      ['b', ['a']],
    ]);
    expect(dependents(needs, 'a')).toEqual(new Set(['b']));
  });
});
