import { readFileSync, writeFileSync } from 'node:fs';
import zlib from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NdType } from '../../../../sdk/node/index.js';
import { goldfish, openStage, refuses, type Stage } from './stage.ts';

const { loadInput, NdArray, saveOutput } = goldfish;
type Nd = InstanceType<typeof NdArray>;

let stage: Stage;
beforeEach(() => {
  stage = openStage({ inputs: { n: 'npy', z: 'npz' }, outputs: { n: 'npy', z: 'npz' } });
});
afterEach(() => stage.dispose());

/** What comes back of a saved array. */
const back = (value: unknown): Nd => {
  saveOutput('n', value);
  stage.input('n.npy', readFileSync(stage.output('n.npy')));
  return loadInput<Nd>('n');
};
/** An npy file with this header and payload, as other programs might write it. */
const npy = (header: string, payload: Uint8Array, version = 1): Buffer => {
  const text = Buffer.from(`${header}\n`, version === 3 ? 'utf8' : 'latin1');
  const length = Buffer.alloc(version === 1 ? 2 : 4);
  length.writeUIntLE(text.length, 0, length.length);
  return Buffer.concat([
    Buffer.from([0x93]),
    Buffer.from('NUMPY'),
    Buffer.from([version, 0]),
    length,
    text,
    payload,
  ]);
};
const described = (descr: string, shape: string, fortran = 'False'): string =>
  `{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }`;
const read = (bytes: Uint8Array): Nd => {
  stage.input('n.npy', bytes);
  return loadInput<Nd>('n');
};

describe('an array saved by a Node stage', () => {
  it('is version 1.0, C order, little-endian, padded as numpy pads', () => {
    saveOutput('n', Float32Array.of(1, -2));
    const file = readFileSync(stage.output('n.npy'));
    expect(file.subarray(0, 10)).toEqual(Buffer.from('\x93NUMPY\x01\x00\x76\x00', 'latin1'));
    expect(file.toString('latin1', 10, 128).trimEnd()).toBe(
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
    );
    expect([file.length, file[127]]).toEqual([128 + 8, 0x0a]);
    expect(file.subarray(128).toString('hex')).toBe('0000803f000000c0');
  });

  it('comes back with its type, its shape and every value', () => {
    const typed: [NdType, Exclude<Nd['data'], unknown[]>][] = [
      ['int8', Int8Array.of(-128, 127)],
      ['uint8', Uint8Array.of(0, 255)],
      ['uint8', Uint8ClampedArray.of(0, 255)],
      ['int16', Int16Array.of(-32768, 32767)],
      ['uint16', Uint16Array.of(0, 65535)],
      ['int32', Int32Array.of(-(2 ** 31), 2 ** 31 - 1)],
      ['uint32', Uint32Array.of(0, 2 ** 32 - 1)],
      ['int64', BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n)],
      ['uint64', BigUint64Array.of(0n, 2n ** 64n - 1n)],
      ['float32', Float32Array.of(Number.NaN, -0)],
      ['float64', Float64Array.of(Number.NEGATIVE_INFINITY, 5e-324)],
    ];
    for (const [dtype, data] of typed) {
      const array = back(data);
      expect([array.dtype, array.shape], dtype).toEqual([dtype, [2]]);
      expect([...array.data], dtype).toEqual([...data]);
      expect([...back(new NdArray(data, [2, 1, 1])).shape], dtype).toEqual([2, 1, 1]);
    }
    // A view into a larger buffer gives its own items only.
    expect([...back(Float64Array.of(1, 2, 3, 4).subarray(1, 3)).data]).toEqual([2, 3]);
  });

  it('may be nested lists: numbers are float64, booleans, BigInts and texts are what they are', () => {
    const nested: [unknown, string, number[], unknown][] = [
      [
        [
          [1, 2.5],
          [3, 4],
        ],
        'float64',
        [2, 2],
        [
          [1, 2.5],
          [3, 4],
        ],
      ],
      [[[1n, 2n]], 'int64', [1, 2], [[1, 2]]],
      [[2n ** 63n], 'uint64', [1], [2n ** 63n]],
      [[[true], [false]], 'bool', [2, 1], [[true], [false]]],
      [['a', 'ü🐟', ''], 'str', [3], ['a', 'ü🐟', '']],
      [[], 'float64', [0], []],
      [[[], []], 'float64', [2, 0], [[], []]],
      [7, 'float64', [], 7],
      ['text in a list', 'str', [], 'text in a list'],
      [
        [Float32Array.of(1, 2), Float32Array.of(3, 4)],
        'float32',
        [2, 2],
        [
          [1, 2],
          [3, 4],
        ],
      ],
      [[NdArray.from([1n]), NdArray.from([2n])], 'int64', [2, 1], [[1], [2]]],
    ];
    for (const [value, dtype, shape, plain] of nested) {
      const array = back(typeof value === 'string' ? NdArray.from(value) : value);
      expect([array.dtype, array.shape, array.toNested()]).toEqual([dtype, shape, plain]);
      expect(loadInput('n', { plain: true })).toEqual(plain);
    }
  });

  it('is refused where it is no array: ragged, mixed, empty places', () => {
    const wrong: [unknown, string][] = [
      [[[1, 2], [3]], 'item 1 of a list has the shape [1] and the first has [2]; an array needs equal ones.'],
      [[1, [2]], 'item 1 of a list has the shape [1] and the first has []; an array needs equal ones.'],
      [[1, 'a'], 'float64 and str cannot be mixed in one array.'],
      [[1, 2n], 'float64 and int64 cannot be mixed in one array.'],
      [[1, null], 'an array cannot hold null; use NaN for a missing number.'],
      [[1, undefined], 'an array cannot hold undefined; use NaN for a missing number.'],
      [{ a: 1 }, 'an array cannot hold { a: 1 }.'],
      [[new Date(0)], 'an array cannot hold 1970-01-01T00:00:00.000Z.'],
      [['half \ud83d'], 'one of the texts is not valid Unicode.'],
      [[2n ** 64n], '18446744073709551616n does not fit into uint64.'],
    ];
    for (const [value, message] of wrong) {
      refuses(() => saveOutput('n', value), `Output n (npy): ${message}`);
    }
    refuses(
      () => saveOutput('n', Buffer.from('not npy')),
      'Output n (npy): these bytes are not the content of a .npy file.',
    );
  });
});

describe('an array loaded by a Node stage', () => {
  it('is in C order and in this machine’s byte order, however it was written', () => {
    const big = Buffer.alloc(6);
    for (const [at, value] of [1, -2, 300].entries()) big.writeInt16BE(value, at * 2);
    expect(read(npy(described("'>i2'", '(3,)'), big)).toNested()).toEqual([1, -2, 300]);
    const columns = Float64Array.of(1, 4, 2, 5, 3, 6);
    const matrix = read(npy(described("'<f8'", '(2, 3)', 'True'), new Uint8Array(columns.buffer)));
    expect([matrix.shape, matrix.toNested()]).toEqual([
      [2, 3],
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
    ]);
    const cube = Uint8Array.from({ length: 24 }, (_, at) => at);
    const turned = read(npy(described("'|u1'", '(2, 3, 4)', 'True'), cube));
    for (const [i, j, k] of [
      [0, 0, 0],
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
      [1, 2, 3],
    ] as const) {
      expect(turned.get(i, j, k)).toBe(i + 2 * j + 6 * k);
    }
    const texts = Buffer.from('a\0\0\0b\0\0\0c\0\0\0\0\0\0\0', 'latin1');
    expect(read(npy(described("'<U2'", '(2,)', 'True'), texts)).toNested()).toEqual(['ab', 'c']);
  });

  it('may be of the other versions, of half precision, of bytes, without axes, and lie anywhere in its file', () => {
    const four = new Uint8Array(Float32Array.of(0.5).buffer);
    for (const version of [1, 2, 3]) {
      expect(read(npy(described("'<f4'", '(1,)'), four, version)).toNested()).toEqual([0.5]);
    }
    const half = Buffer.from(
      Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0xfc00, 0x7e00, 0x8000).buffer,
    );
    expect([...read(npy(described("'<f2'", '(8,)'), half)).data]).toEqual([
      1,
      -2,
      65504,
      2 ** -24,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
      -0,
    ]);
    const bytes = read(npy(described("'|S3'", '(2,)'), Buffer.from('abcd\0\0')));
    expect([bytes.dtype, bytes.data]).toEqual(['bytes', [Buffer.from('abc'), Buffer.from('d')]]);
    expect(read(npy(described("'<i8'", '()'), Buffer.from('2a00000000000000', 'hex'))).toNested()).toBe(42);
    expect(read(npy(described("'|b1'", '(2L, 1L)'), Uint8Array.of(1, 0))).toNested()).toEqual([
      [true],
      [false],
    ]);
    // What follows the items does not matter.
    expect(read(npy(described("'<f4'", '(1,)'), Buffer.concat([four, four]))).data.length).toBe(1);
  });

  it('is refused in one line where the file is damaged or would need more than numbers and text', () => {
    const wrong: [Uint8Array, string][] = [
      [Buffer.from('no'), 'not an npy file.'],
      [Buffer.alloc(0), 'not an npy file.'],
      [npy(described("'<f4'", '(3,)'), Buffer.alloc(8)), 'the npy file ends early: 8 of 12 bytes.'],
      [npy('{}', Buffer.alloc(0)), 'the header of the npy file is damaged.'],
      [
        npy(described("'<f4'", '(1,)'), Buffer.alloc(4)).subarray(0, 30),
        'the header of the npy file is damaged.',
      ],
      [
        npy(described("'|O'", '(1,)'), Buffer.alloc(8)),
        'holds Python objects, which would need pickle; Goldfish does not load those.',
      ],
      [
        npy(described("[('a', '<f4')]", '(1,)'), Buffer.alloc(4)),
        'structured arrays cannot be read here; save columns of their own.',
      ],
      [npy(described("'<c16'", '(1,)'), Buffer.alloc(16)), 'arrays of type "<c16" cannot be read here.'],
      [npy(described("'<M8[ns]'", '(1,)'), Buffer.alloc(8)), 'arrays of type "<M8[ns]" cannot be read here.'],
    ];
    for (const [bytes, message] of wrong) refuses(() => read(bytes), `Input n: ${message}`);
  });
});

describe('NdArray', () => {
  const matrix = NdArray.from(
    [
      [1, 2, 3],
      [4, 5, 6],
    ],
    'int32',
  );

  it('gives items, rows as views, columns, and everything as numbers or nested lists', () => {
    expect(matrix.data).toBeInstanceOf(Int32Array);
    expect([matrix.get(1, 2), matrix.row(1), matrix.column(1)]).toEqual([
      6,
      Int32Array.of(4, 5, 6),
      Int32Array.of(2, 5),
    ]);
    const copy = NdArray.from(matrix, 'float32');
    (copy.row(0) as Float32Array)[0] = 0.5;
    expect([copy.get(0, 0), matrix.get(0, 0)]).toEqual([0.5, 1]);
    expect(NdArray.from([['a', 'b']]).row(0)).toEqual(['a', 'b']);
    expect(new NdArray(Uint8Array.of(1, 0), [2], 'bool').get(0)).toBe(true);
    expect(NdArray.from([1n, 2n]).numbers()).toEqual(Float64Array.of(1, 2));
    expect(NdArray.from([1, 0, true], 'bool').toNested()).toEqual([true, false, true]);
    expect(NdArray.from([1, 2], 'int64').data).toEqual(BigInt64Array.of(1n, 2n));
  });

  it('says what does not fit', () => {
    refuses(() => matrix.get(0), 'An array of shape [2, 3] takes 2 indexes.');
    refuses(() => matrix.get(0, 3), 'Index 3 of axis 1 is not in 0 to 2.');
    refuses(() => matrix.row(-1), 'Index -1 of axis 0 is not in 0 to 1.');
    refuses(() => NdArray.from([1]).row(0), 'Only an array of two axes has a row; this one has 1.');
    refuses(() => NdArray.from([300], 'uint8'), 'The array: 300 does not fit into uint8.');
    refuses(() => NdArray.from([1.5], 'int64'), 'The array: 1.5 does not fit into int64.');
    refuses(() => NdArray.from(['1'], 'int8'), 'The array: "1" does not fit into int8.');
    // @ts-expect-error: a type that is none
    refuses(() => NdArray.from([1], 'int'), 'The array: there is no type "int"; there are bool, int8,…');
    refuses(() => NdArray.from([2n ** 60n]).numbers(), '1152921504606846976 has no exact number; use data.');
    refuses(() => new NdArray(new Float32Array(3), [2, 2]), '3 items do not make an array of shape [2, 2].');
    // @ts-expect-error: what a program without types may do
    refuses(() => new NdArray([1, 2]), 'An NdArray cannot be made of [ 1, 2 ].');
  });
});

describe('npz files of a Node stage', { timeout: 60_000 }, () => {
  it('hold arrays by name and come back; equal arrays give equal bytes', () => {
    const arrays = { 'weights ü': Float32Array.of(1, 2), y: [['a'], ['b']], e: new Float64Array(0) };
    saveOutput('z', arrays);
    const first = readFileSync(stage.output('z.npz'));
    stage.input('z.npz', first);
    expect(loadInput('z', { plain: true })).toEqual({ 'weights ü': [1, 2], y: [['a'], ['b']], e: [] });
    expect(loadInput<Record<string, Nd>>('z')['weights ü']?.dtype).toBe('float32');
    saveOutput('z', arrays);
    expect(readFileSync(stage.output('z.npz'))).toEqual(first);
    saveOutput('z', {});
    stage.input('z.npz', readFileSync(stage.output('z.npz')));
    expect(loadInput('z')).toEqual({});
  });

  it('may be compressed, have other members, and a comment', async () => {
    const program = `
import zipfile
with zipfile.ZipFile(${JSON.stringify(`${stage.inputs}/z.npz`)}, 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.comment = b'PK\\x05\\x06' + b' is not the end, however long this comment is'
    archive.writestr('readme.txt', 'hello')
    with archive.open('a.npy', 'w', force_zip64=True) as member:
        member.write(open(${JSON.stringify(`${stage.root}/a.npy`)}, 'rb').read())
`;
    saveOutput('n', new Float64Array(1000).fill(3));
    writeFileSync(`${stage.root}/a.npy`, readFileSync(stage.output('n.npy')));
    await stage.python(program);
    const loaded = loadInput<Record<string, Nd>>('z');
    expect(Object.keys(loaded)).toEqual(['a']);
    expect(loaded['a']?.numbers().every((item) => item === 3)).toBe(true);
  });

  it('that are damaged are refused, wherever the damage is', () => {
    saveOutput('z', { a: Float64Array.of(1, 2, 3), b: [1] });
    const whole = readFileSync(stage.output('z.npz'));
    for (let length = 0; length < whole.length; length += 7) {
      stage.input('z.npz', whole.subarray(0, length));
      refuses(() => loadInput('z'), 'Input z: not a readable npz file: …');
    }
    // A byte that does not matter (a date, a version) may be any; nothing else is ever taken for the truth.
    const right = [JSON.stringify([1, 2, 3]), JSON.stringify([1])];
    let refused = 0;
    for (let at = 0; at < whole.length; at += 1) {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] ?? 0) ^ 0xff;
      stage.input('z.npz', damaged);
      try {
        const loaded = Object.values(loadInput<object>('z', { plain: true }));
        expect(right, `byte ${at}`).toEqual(
          expect.arrayContaining(loaded.map((array) => JSON.stringify(array))),
        );
      } catch (error) {
        expect(error, `byte ${at}`).toBeInstanceOf(goldfish.GoldfishError);
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(whole.length / 2);
    // A directory that claims to be larger than any memory.
    const huge = Buffer.alloc(56 + 20 + 22);
    huge.writeUInt32LE(0x06064b50, 0);
    huge.writeBigUInt64LE(1n, 32);
    huge.writeBigUInt64LE(2n ** 60n, 40);
    huge.writeUInt32LE(0x07064b50, 56);
    huge.writeUInt32LE(0x06054b50, 76);
    stage.input('z.npz', huge);
    refuses(() => loadInput('z'), 'Input z: not a readable npz file: it ends early.');
    refuses(() => saveOutput('z', [1]), 'Output z (npz): npz takes an object of arrays by name, not [ 1 ].');
    refuses(() => saveOutput('z', { 'a/b': [1] }), 'Output z (npz): "a/b" is no name for an array.');
    refuses(() => saveOutput('z', { a: [1, 'x'] }), 'Output z (npz): a: float64 and str cannot be mixed in…');
  });

  it('are checked by the same sum on a Node without one of its own', () => {
    const members = { a: Uint8Array.from({ length: 1000 }, (_, at) => at % 251), b: [true] };
    saveOutput('z', members);
    const own = readFileSync(stage.output('z.npz'));
    const { crc32 } = zlib;
    // @ts-expect-error: as on Node 18
    delete zlib.crc32;
    try {
      saveOutput('z', members);
      expect(readFileSync(stage.output('z.npz'))).toEqual(own);
    } finally {
      zlib.crc32 = crc32;
    }
  });
});

it('whatever becomes of an array file or archive, what is thrown is a GoldfishError of one line', () => {
  const bytesOf = (name: string, value: unknown): Buffer => {
    saveOutput(name, value);
    return readFileSync(stage.output(`${name}.np${name === 'n' ? 'y' : 'z'}`));
  };
  const seeds = [
    bytesOf('n', [[1.5], [2.5]]),
    bytesOf('n', ['ab', 'c']),
    bytesOf('z', { a: [1, 2], b: ['x'] }),
  ];
  const piece = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 1 }),
    fc.constantFrom('(', "'", '-', '999999999999', '').map((text) => Buffer.from(text)),
  );
  const change = fc.record({ at: fc.nat(), gone: fc.nat(4), piece });
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.array(change, { minLength: 1, maxLength: 4 }),
      (seed, changes) => {
        let bytes = seed;
        for (const { at, gone, piece: added } of changes) {
          const place = at % (bytes.length + 1);
          bytes = Buffer.concat([bytes.subarray(0, place), added, bytes.subarray(place + gone)]);
        }
        const name = seed === seeds[2] ? 'z' : 'n';
        stage.input(name === 'z' ? 'z.npz' : 'n.npy', bytes);
        try {
          loadInput(name, { plain: true });
        } catch (error) {
          expect(error).toBeInstanceOf(goldfish.GoldfishError);
          expect(String(error)).not.toContain('\n');
        }
      },
    ),
    { numRuns: 1500 },
  );
}, 60_000);
