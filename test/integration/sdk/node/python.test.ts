import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { goldfish, openStage, type Stage } from './stage.ts';

const { loadCheckpoint, loadInput, NdArray, saveCheckpoint, saveOutput } = goldfish;
type Nd = InstanceType<typeof NdArray>;

const has = (module: string): boolean => {
  try {
    execFileSync('python3', ['-c', `import ${module}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};
const numpy = has('numpy');

/** As on a machine with the standard library alone. */
const PLAIN = 'import sys; sys.modules["numpy"] = sys.modules["pandas"] = None; import goldfish';
const SIGNALS = { n: 'npy', z: 'npz', c: 'csv', j: 'json' } as const;
const FILES = { n: 'n.npy', z: 'z.npz', c: 'c.csv', j: 'j.json' } as const;

describe('what one library saves, as the other loads it', { timeout: 60_000 }, () => {
  let stage: Stage;
  beforeEach(() => {
    stage = openStage({ inputs: SIGNALS, outputs: SIGNALS });
  });
  afterEach(() => stage.dispose());

  /** What was saved last becomes the input. */
  const hand = (name: keyof typeof FILES): Buffer => {
    const bytes = readFileSync(stage.output(FILES[name]));
    stage.input(FILES[name], bytes);
    return bytes;
  };
  /** What Python has after loading, in its own words. */
  const python = (program: string): Promise<string> => stage.python(`${PLAIN}\n${program}`);

  it('are the same arrays, from Node to Python and from Python to Node, and the same bytes', async () => {
    const cases: [unknown, string, unknown][] = [
      [
        [
          [1.5, 2],
          [-3, 4],
        ],
        '[[1.5, 2.0], [-3.0, 4.0]]',
        [
          [1.5, 2],
          [-3, 4],
        ],
      ],
      [[1n, -(2n ** 62n)], '[1, -4611686018427387904]', [1n, -(2n ** 62n)]],
      [[2n ** 63n], '[9223372036854775808]', [2n ** 63n]],
      [[[true, false]], '[[True, False]]', [[true, false]]],
      [['a', 'üü🐟', ''], "['a', 'üü🐟', '']", ['a', 'üü🐟', '']],
      [
        [Number.NaN, Number.POSITIVE_INFINITY, -0],
        '[nan, inf, -0.0]',
        [Number.NaN, Number.POSITIVE_INFINITY, -0],
      ],
      [[], '[]', []],
      [[[], [], []], '[[], [], []]', [[], [], []]],
      [0.1, '0.1', 0.1],
    ];
    const outputs: Buffer[] = [];
    for (const [index, [value]] of cases.entries()) {
      saveOutput('n', value);
      outputs.push(readFileSync(stage.output('n.npy')));
      writeFileSync(join(stage.root, `${index}.npy`), outputs[index] ?? '');
    }
    const said = await python(`
import shutil
root = ${JSON.stringify(stage.root)}
for index in range(${cases.length}):
    shutil.copy(f"{root}/{index}.npy", ${JSON.stringify(join(stage.inputs, 'n.npy'))})
    value = goldfish.load_input("n")
    print(value)
    shutil.move(goldfish.save_output("n", value), f"{root}/{index}.again")`);
    expect(said.trimEnd().split('\n')).toEqual(cases.map(([, words]) => words));
    for (const [index, [, , plain]] of cases.entries()) {
      const again = readFileSync(join(stage.root, `${index}.again`));
      expect(again.equals(outputs[index] ?? Buffer.alloc(0)), `case ${index}`).toBe(true);
      stage.input('n.npy', again);
      expect(loadInput('n', { plain: true })).toEqual(plain);
    }
  });

  it('are the same npz files, byte for byte', async () => {
    const arrays = { weights: [[0.5, 1.5]], 'labels ü': ['a', 'bc'], empty: [] };
    saveOutput('z', arrays);
    const own = hand('z');
    expect(
      await python('value = goldfish.load_input("z"); print(value); goldfish.save_output("z", value)'),
    ).toBe("{'weights': [[0.5, 1.5]], 'labels ü': ['a', 'bc'], 'empty': []}\n");
    expect(hand('z').equals(own)).toBe(true);
    expect(loadInput('z', { plain: true })).toEqual(arrays);
  });

  it('are the same tables, types included', async () => {
    const rows = [
      { name: 'ü, "x"', n: 1, share: 0.25, ok: true, code: '007', big: '12345678901234567890', none: null },
      { name: 'two\nlines', n: -2, share: Number.NaN, ok: false, code: '1', big: '1', none: null },
      { name: 'cr\rhere', n: 3, share: Number.NEGATIVE_INFINITY, ok: null, code: '', big: '2', none: null },
    ];
    saveOutput('c', rows);
    const own = hand('c');
    expect(await python('print(goldfish.load_input("c"))')).toBe(
      "[{'name': 'ü, \"x\"', 'n': 1, 'share': 0.25, 'ok': True, 'code': '007', 'big': 12345678901234567890, 'none': None}, " +
        "{'name': 'two\\nlines', 'n': -2, 'share': nan, 'ok': False, 'code': '1', 'big': 1, 'none': None}, " +
        "{'name': 'cr\\rhere', 'n': 3, 'share': -inf, 'ok': None, 'code': None, 'big': 2, 'none': None}]\n",
    );
    await python('goldfish.save_output("c", goldfish.load_input("c"))');
    expect(hand('c').toString()).toBe(own.toString());
    expect(loadInput('c')).toEqual(rows.map((row) => ({ ...row, code: row.code || null })));
    await python('goldfish.save_output("c", [{"a": None}, {"a": "1"}, {"a": ""}])');
    hand('c');
    expect(loadInput('c')).toEqual([{ a: null }, { a: 1 }, { a: null }]);
  });

  it('are the same JSON values, byte for byte where both have the same numbers', async () => {
    const value = { b: 1, a: ['ü\u2028\n\u007f"\\', 0.1, -5, null, true, [], {}], n: 12345678901234567890n };
    saveOutput('j', value);
    const own = hand('j');
    await python('goldfish.save_output("j", goldfish.load_input("j"))');
    expect(hand('j').toString()).toBe(own.toString());
    expect(loadInput('j')).toEqual(value);
  });

  it('are the same checkpoints: data, bytes, arrays, files, in one order over all attempts', async () => {
    saveCheckpoint('state', { epoch: 1, best: Number.POSITIVE_INFINITY, seed: 2n ** 100n, note: 'ü' }, 1);
    saveCheckpoint('bytes', Buffer.from([0, 255]));
    saveCheckpoint('model', { w: Float32Array.of(0.5), b: Int32Array.of(7) });
    stage = stage.next();
    const said = await python(`
print(goldfish.load_checkpoint(name="state"), goldfish.load_checkpoint(name="bytes"), goldfish.load_checkpoint())
print([(c["name"], c["step"], c["attempt"]) for c in goldfish.list_checkpoints()])
goldfish.save_checkpoint("state", {"best": float("nan"), "seed": 3 ** 80, "w": [0.1, 1e30]}, step=2.5, keep=1)
import pathlib
pathlib.Path("model.bin").write_bytes(b"w")
goldfish.save_checkpoint("file", "model.bin")`);
    expect(said).toBe(
      "{'epoch': 1, 'best': inf, 'seed': 1267650600228229401496703205376, 'note': 'ü'} b'\\x00\\xff' {'w': [0.5], 'b': [7]}\n" +
        "[('state', 1, 1), ('bytes', None, 1), ('model', None, 1)]\n",
    );
    expect(loadCheckpoint({ name: 'state' })).toEqual({ best: Number.NaN, seed: 3n ** 80n, w: [0.1, 1e30] });
    expect(readFileSync(loadCheckpoint<string>() ?? '', 'utf8')).toBe('w');
    expect(goldfish.listCheckpoints().map(({ name, step, attempt }) => [name, step, attempt])).toEqual([
      ['bytes', null, 1],
      ['model', null, 1],
      ['state', 2.5, 2],
      ['file', null, 2],
    ]);
  });

  it.skipIf(!numpy)(
    'are the arrays that numpy has, of every type and order (needs numpy: pip install numpy)',
    async () => {
      const types = ['i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'i8', 'u8', 'f2', 'f4', 'f8'];
      const said = await stage.python(`
import numpy, json, goldfish, os
root = ${JSON.stringify(stage.root)}
for number, kind in enumerate(${JSON.stringify(types)}):
    array = numpy.arange(-3 if kind[0] != "u" else 0, 21 if kind[0] != "u" else 24).reshape(2, 3, 4).astype(kind)
    numpy.save(f"{root}/{number}-c.npy", array)
    numpy.save(f"{root}/{number}-f.npy", numpy.asfortranarray(array.astype(">" + kind)))
    numpy.save(f"{root}/{number}-part.npy", array[:, ::2])
numpy.savez_compressed(${JSON.stringify(join(stage.inputs, 'z.npz'))}, a=numpy.eye(3), b=numpy.array(["x", "yy"]))
numpy.savez(${JSON.stringify(join(stage.root, 'plain.npz'))}, numpy.arange(3), t=numpy.array([True, False]))
print(json.dumps(array.tolist()))`);
      const plain = JSON.parse(said);
      const shift = (nested: unknown, by: number): unknown =>
        Array.isArray(nested) ? nested.map((item) => shift(item, by)) : Number(nested) + by;
      for (const [index, kind] of types.entries()) {
        const expected = shift(plain, kind.startsWith('u') ? 3 : 0);
        for (const order of ['c', 'f']) {
          stage.input('n.npy', readFileSync(join(stage.root, `${index}-${order}.npy`)));
          const array = loadInput<Nd>('n');
          expect([array.toNested(), array.shape], `${kind} ${order}`).toEqual([expected, [2, 3, 4]]);
          if (kind === 'f2') continue;
          saveOutput('n', array);
          expect(readFileSync(stage.output('n.npy')), kind).toEqual(
            readFileSync(join(stage.root, `${index}-c.npy`)),
          );
        }
        stage.input('n.npy', readFileSync(join(stage.root, `${index}-part.npy`)));
        expect(loadInput<Nd>('n').shape).toEqual([2, 2, 4]);
      }
      expect(loadInput('z', { plain: true })).toEqual({
        a: [
          [1, 0, 0],
          [0, 1, 0],
          [0, 0, 1],
        ],
        b: ['x', 'yy'],
      });
      stage.input('z.npz', readFileSync(join(stage.root, 'plain.npz')));
      expect(loadInput('z', { plain: true })).toEqual({ arr_0: [0, 1, 2], t: [true, false] });
      saveOutput('z', { w: NdArray.from([[1, 2]], 'float32') });
      hand('z');
      expect(
        await stage.python('import goldfish; a = goldfish.load_input("z")["w"]; print(a.dtype, a.shape)'),
      ).toBe('float32 (1, 2)\n');
    },
  );
});
