import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonicalJson,
  deepMerge,
  hashJson,
  isJsonObject,
  type JsonObject,
  sha256,
} from '../../src/core/json.ts';

/** Keys people and attackers use; few of them, so that objects overlap. */
const anyKey = fc.constantFrom('a', 'b', 'c', '1', '', '__proto__', 'constructor', 'toString', 'ключ');

/** Objects of one shape: a key is an object everywhere or nowhere. */
const sameShape: fc.Arbitrary<JsonObject> = fc.letrec<{ object: JsonObject }>((tie) => ({
  object: fc
    .tuple(
      fc.dictionary(
        fc.constantFrom('x', 'y', '__proto__'),
        fc.jsonValue({ maxDepth: 0 }) as fc.Arbitrary<never>,
      ),
      fc.option(tie('object'), { maxDepth: 3, nil: undefined }),
    )
    .map(([leaves, child]) => (child === undefined ? leaves : { ...leaves, child })),
})).object;

const anyObject = fc
  .dictionary(anyKey, fc.oneof(fc.jsonValue(), fc.dictionary(anyKey, fc.jsonValue())))
  .map((value) => JSON.parse(JSON.stringify(value)) as JsonObject);

function shuffleKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffleKeys);
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, item]) => [key, shuffleKeys(item)]),
  );
}

describe('deepMerge', () => {
  it('merges objects key by key and replaces everything else, lists too', () => {
    const base: JsonObject = { model: { depth: 3, kinds: ['a', 'b'] }, seed: 1, note: { text: 'x' } };
    const override: JsonObject = { model: { kinds: ['c'] }, note: null, extra: {} };
    expect(deepMerge(base, override)).toEqual({
      model: { depth: 3, kinds: ['c'] },
      seed: 1,
      note: null,
      extra: {},
    });
  });

  it('leaves an object alone that is merged with nothing or with itself', () => {
    fc.assert(
      fc.property(anyObject, (value) => {
        expect(canonicalJson(deepMerge(value, {}))).toBe(canonicalJson(value));
        expect(canonicalJson(deepMerge({}, value))).toBe(canonicalJson(value));
        expect(canonicalJson(deepMerge(value, value))).toBe(canonicalJson(value));
      }),
    );
  });

  it('changes neither argument', () => {
    fc.assert(
      fc.property(anyObject, anyObject, (base, override) => {
        const before = [canonicalJson(base), canonicalJson(override)];
        deepMerge(base, override);
        expect([canonicalJson(base), canonicalJson(override)]).toEqual(before);
      }),
    );
  });

  it('does not depend on how three layers of one shape are grouped', () => {
    fc.assert(
      fc.property(sameShape, sameShape, sameShape, (a, b, c) => {
        expect(canonicalJson(deepMerge(deepMerge(a, b), c))).toBe(
          canonicalJson(deepMerge(a, deepMerge(b, c))),
        );
      }),
    );
  });

  it('forgets what a later layer replaced, so layers of different shape are applied in order', () => {
    const layers: JsonObject[] = [{ x: { a: 1 } }, { x: 0 }, { x: { b: 2 } }];
    expect(layers.reduce(deepMerge)).toEqual({ x: { b: 2 } });
  });

  it('treats a key named __proto__ as data and pollutes nothing', () => {
    const override = JSON.parse('{"__proto__": {"polluted": true}, "constructor": {"prototype": {"p": 1}}}');
    const merged = deepMerge({ a: 1 }, override as JsonObject);
    expect(Object.getPrototypeOf(merged)).toBe(Object.prototype);
    expect(Object.keys(merged).sort()).toEqual(['__proto__', 'a', 'constructor']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(({} as Record<string, unknown>)['p']).toBeUndefined();
    expect(canonicalJson(deepMerge(merged, override as JsonObject))).toBe(canonicalJson(merged));
  });
});

describe('canonicalJson', () => {
  it('gives equal text for equal values, whatever the order of keys', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(canonicalJson(shuffleKeys(value))).toBe(canonicalJson(value));
      }),
    );
  });

  it('loses nothing', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('has a fixed form, which stored keys depend on', () => {
    expect(canonicalJson({ b: [1, { d: null, c: 'é' }], a: undefined, A: true })).toBe(
      '{"A":true,"b":[1,{"c":"é","d":null}]}',
    );
    expect(hashJson({ b: 1, a: 2 })).toBe(
      'sha256:d3626ac30a87e6f7a6428233b3c68299976865fa5508e4267c5415c76af7a772',
    );
  });
});

it('hashes text as its UTF-8 bytes', () => {
  expect(sha256('')).toBe('sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  expect(sha256('é')).toBe(sha256(Buffer.from([0xc3, 0xa9])));
});
