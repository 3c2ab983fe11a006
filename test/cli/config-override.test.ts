import { describe, expect, it } from 'vitest';
import { readInputs, readOverride } from '../../src/cli/config-override.ts';

describe('--set', () => {
  it('reads values as YAML, and so as JSON', async () => {
    const settings = ['train.lr=0.1', 'train.name=big', 'train.deep.on=true', 'train.deep.layers=[8, 4]'];
    expect(await readOverride([...settings, 'eval.opts={"a": 1}', 'eval.text="1"', 'eval.none='])).toEqual({
      train: { lr: 0.1, name: 'big', deep: { on: true, layers: [8, 4] } },
      eval: { opts: { a: 1 }, text: '1', none: null },
    });
  });

  it('keeps what follows the first "="', async () => {
    expect(await readOverride(['a.query="x=1&y=2"', 'a.url=http://h/?a=b'])).toEqual({
      a: { query: 'x=1&y=2', url: 'http://h/?a=b' },
    });
  });

  it.each(['lr=1', 'train.lr', '=1', '.lr=1', 'train.=1', 'train..lr=1', ''])(
    'refuses %j, which names no stage and key',
    async (setting) => {
      await expect(readOverride([setting])).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: `"--set ${setting}" is not understood. It names no stage and key.`,
        hint: 'Write --set stage.key=value, as in --set train.learning_rate=0.1.',
      });
    },
  );

  it.each([
    ['train.lr=1', 'train.lr=2'],
    ['train.a=1', 'train.a.b=2'],
    ['train.a.b=1', 'train.a=2'],
  ])('refuses to set a key twice: %s and %s', async (first, second) => {
    await expect(readOverride([first, second])).rejects.toThrow(
      `"--set ${second}" is not understood. The key is set twice.`,
    );
  });

  it.each(['a.b=[1', 'a.b=.nan', 'a.b=.inf', 'a.b={x: 1, x: 2}', 'a.b=*nobody', 'a.b=!!binary aGk='])(
    'refuses the value of %s',
    async (setting) => {
      await expect(readOverride([setting])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    },
  );

  it('takes a key named __proto__ as data', async () => {
    const override = await readOverride(['a.__proto__.polluted=1']);
    expect(JSON.stringify(override)).toBe('{"a":{"__proto__":{"polluted":1}}}');
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });
});

describe('--input', () => {
  it('names stage and input before the first "=", and what it reads after it', () => {
    expect(readInputs(['train.raw=digits@v2', 'train.split=data/a=b.csv', 'test.raw=stage-012345'])).toEqual({
      train: { raw: 'digits@v2', split: 'data/a=b.csv' },
      test: { raw: 'stage-012345' },
    });
  });

  it.each(['train=x', 'train.raw', '.raw=x', 'train.raw='])('is refused as %j', (text) => {
    expect(() => readInputs([text])).toThrow(`"${text}" does not say which input reads what.`);
  });
});
