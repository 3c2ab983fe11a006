import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { goldfish, openStage, refuses, type Stage } from './stage.ts';

const TYPES = {
  j: 'json',
  f: 'file',
  c: 'csv',
  n: 'npy',
  z: 'npz',
  p: 'parquet',
  d: 'directory',
} as const;
const { loadInput, logArtifact, saveOutput } = goldfish;

let stage: Stage;
beforeEach(() => {
  stage = openStage({ inputs: { ...TYPES, s: 'dataset' }, outputs: TYPES });
});
afterEach(() => stage.dispose());

const saved = (file: string): string => readFileSync(stage.output(file), 'utf8');
/** A file of the stage's own. */
const file = (name: string, content: string): string => {
  const path = join(stage.root, name);
  writeFileSync(path, content);
  return path;
};

describe('JSON outputs of a Node stage', () => {
  it('are indented text with the keys in the order given, whatever the value', () => {
    expect(saveOutput('j', { b: 1, a: [1.5, 'ü\n', null, true, {}, []], n: { m: undefined, k: 0 } })).toBe(
      stage.output('j.json'),
    );
    expect(saved('j.json')).toBe(
      '{\n  "b": 1,\n  "a": [\n    1.5,\n    "ü\\n",\n    null,\n    true,\n    {},\n    []\n  ],\n  "n": {\n    "k": 0\n  }\n}\n',
    );
    const shared = { twice: true };
    for (const value of ['text', 0, false, null, [], {}, [shared, shared, [shared]]]) {
      saveOutput('j', value);
      expect(JSON.parse(saved('j.json'))).toEqual(value);
    }
  });

  it('hold numbers so that every reader sees the same one', () => {
    saveOutput('j', [1e20, -0, 2 ** 53, 5e-324, 12345678901234567890n, 0.1]);
    expect(saved('j.json').replace(/\s/g, '')).toBe(
      '[1e+20,-0.0,9.007199254740992e+15,5e-324,12345678901234567890,0.1]',
    );
  });

  it('hold lists for typed arrays and arrays, and the words of dates and the like', () => {
    const array = goldfish.NdArray.from([
      [1, 2],
      [3, 4],
    ]);
    const url = new URL('http://example.org/a');
    saveOutput('j', {
      typed: Float32Array.of(0.5, 2),
      long: BigInt64Array.of(1n),
      array,
      day: new Date(0),
      url,
    });
    expect(JSON.parse(saved('j.json'))).toEqual({
      typed: [0.5, 2],
      long: [1],
      array: [
        [1, 2],
        [3, 4],
      ],
      day: '1970-01-01T00:00:00.000Z',
      url: 'http://example.org/a',
    });
  });

  it('name the place of what JSON does not have, and leave the file before as it was', () => {
    saveOutput('j', 'before');
    const circle: unknown[] = [];
    circle.push({ again: circle });
    class Point {
      x = 1;
    }
    let deep: unknown = 0;
    for (let depth = 0; depth < 100_000; depth += 1) deep = [deep];
    const wrong: [unknown, string][] = [
      [{ loss: [1, Number.NaN] }, '$.loss[1] is NaN, which JSON does not have.'],
      [{ a: Number.NEGATIVE_INFINITY }, '$.a is -Infinity, which JSON does not have.'],
      [[undefined], '$[0] is undefined, which JSON does not have.'],
      [undefined, '$ is undefined, which JSON does not have.'],
      [{ f: () => 1 }, '$.f is a function, which JSON does not have.'],
      [{ s: new Set([1]) }, '$.s is a Set, which JSON does not have; save [...set].'],
      [new Map(), '$ is a Map, which JSON does not have; save Object.fromEntries(map).'],
      [{ p: Promise.resolve(1) }, '$.p is a Promise, which JSON does not have; await it first.'],
      [new Point(), '$ is a Point, which JSON does not have; save a plain object, such as { ...value }.'],
      [circle, '$[0].again contains itself.'],
      [deep, 'the value is nested too deeply.'],
    ];
    for (const [value, message] of wrong) {
      refuses(() => saveOutput('j', value), `Output j (json): ${message}`);
    }
    refuses(
      () => saveOutput('j', Promise.resolve(1)),
      'Output j (json): the value is a Promise; await it first.',
    );
    expect(saved('j.json')).toBe('"before"\n');
    expect(readdirSync(stage.outputs)).toEqual(['j.json']);
  });

  it('may be given as bytes, which are checked', () => {
    saveOutput('j', Buffer.from('{"a": 1}'));
    saveOutput('j', new TextEncoder().encode('[1]'));
    expect(saved('j.json')).toBe('[1]');
    for (const bytes of ['{', 'NaN', '']) {
      refuses(() => saveOutput('j', Buffer.from(bytes)), 'Output j (json): these bytes are not JSON: …');
    }
  });
});

describe('JSON inputs of a Node stage', () => {
  it('are read exactly: large whole numbers as BigInts, and the NaN that Python writes', () => {
    stage.input(
      'j.json',
      '{"id": 12345678901234567890, "near": 9007199254740991, "f": 0.12345678901234567, "t": "NaN 12345678901234567890 \\"-Infinity\\\\", "n": [NaN, -Infinity, Infinity], "12345678901234567890": 1e400}',
    );
    expect(loadInput('j')).toEqual({
      id: 12345678901234567890n,
      near: 9007199254740991,
      f: Number('0.12345678901234567'),
      t: 'NaN 12345678901234567890 "-Infinity\\',
      n: [Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
      '12345678901234567890': Number.POSITIVE_INFINITY,
    });
    stage.input('j.json', '{"goldfish:": "\\u0000goldfish:1", "__proto__": {"x": 12345678901234567890}}');
    const value = loadInput<Record<string, unknown>>('j');
    expect(Object.entries(value)).toEqual([
      ['goldfish:', '\0goldfish:1'],
      ['__proto__', { x: 12345678901234567890n }],
    ]);
  });

  it('that are damaged, missing or no text are refused in one line', () => {
    refuses(() => loadInput('j'), 'Input j is declared but not there.');
    stage.input('j.json', '{"a": \n1');
    refuses(() => loadInput('j'), 'Input j: not a readable JSON file: …');
    stage.input('j.json', Buffer.from([0x22, 0xff, 0x22]));
    refuses(() => loadInput('j'), 'Input j: cannot be read: it is not UTF-8 text.');
    refuses(
      // @ts-expect-error: a misspelt option
      () => loadInput('j', { plane: true }),
      'loadInput has no option "plane": did you mean "plain"? Known: plain, rows',
    );
    mkdirSync(join(stage.inputs, 'c.csv'));
    refuses(() => loadInput('c'), 'Input c cannot be read: illegal operation on a directory.');
  });
});

describe('files and folders of a Node stage', () => {
  it('come as the path: parquet, file, directory and dataset', () => {
    for (const name of ['p.parquet', 'f', 's']) stage.input(name, 'x');
    mkdirSync(join(stage.inputs, 'd'));
    expect(['p', 'f', 'd', 's'].map((name) => loadInput(name))).toEqual(
      ['p.parquet', 'f', 'd', 's'].map((name) => join(stage.inputs, name)),
    );
  });

  it('are saved from bytes, text, a path or a URL, whole and replacing', () => {
    saveOutput('f', 'text ü');
    expect(saved('f')).toBe('text ü');
    saveOutput('f', Uint8Array.of(0, 255));
    expect([...readFileSync(stage.output('f'))]).toEqual([0, 255]);
    saveOutput('f', new ArrayBuffer(3));
    expect(statSync(stage.output('f')).size).toBe(3);
    const source = file('source ü#?.txt', 'from a path');
    chmodSync(source, 0o700);
    saveOutput('f', source);
    expect([saved('f'), statSync(stage.output('f')).mode & 0o777]).toEqual(['from a path', 0o755]);
    saveOutput('f', pathToFileURL(file('other ü#?.txt', 'from a URL')), { move: true });
    expect([saved('f'), existsSync(join(stage.root, 'other ü#?.txt'))]).toEqual(['from a URL', false]);
    expect(existsSync(source)).toBe(true);
    for (const move of [false, true]) {
      saveOutput('f', saveOutput('f', 'itself'), { move });
      expect(saved('f')).toBe('itself');
    }
    writeFileSync(join(goldfish.outputPath('d'), 'kept'), '');
    saveOutput('d', goldfish.outputPath('d'), { move: true });
    expect(readdirSync(stage.outputs, { recursive: true })).toEqual(['d', 'f', 'd/kept']);
  });

  it('are copied with what is in them: empty folders, modes, links that stay inside', () => {
    const source = join(stage.root, 'model');
    mkdirSync(join(source, 'sub', 'empty'), { recursive: true });
    writeFileSync(join(source, 'sub', 'weights ü'), 'w', { mode: 0o600 });
    symlinkSync('sub/weights ü', join(source, 'inside'));
    symlinkSync(file('elsewhere', 'outside'), join(source, 'outside'));
    saveOutput('d', source);
    expect(readdirSync(stage.output('d'), { recursive: true }).sort()).toEqual(
      ['inside', 'outside', 'sub', 'sub/empty', 'sub/weights ü'].sort(),
    );
    expect(readlinkSync(stage.output('d/inside'))).toBe('sub/weights ü');
    expect(lstatSync(stage.output('d/outside')).isFile()).toBe(true);
    expect(saved('d/outside')).toBe('outside');
    expect(lstatSync(stage.output('d/sub/weights ü')).mode & 0o777).toBe(0o644);
    // Again, over the folder that is there, and moved.
    writeFileSync(join(source, 'new'), '');
    saveOutput('d', source, { move: true });
    expect([existsSync(source), existsSync(stage.output('d/new'))]).toEqual([false, true]);
  });

  it('that cannot stand by themselves are refused, and what was saved before stays', () => {
    const source = join(stage.root, 'model');
    mkdirSync(source);
    saveOutput('d', source);
    writeFileSync(stage.output('d/kept'), '');
    symlinkSync(stage.inputs, join(source, 'link'));
    refuses(
      () => saveOutput('d', source),
      `Output d (directory): ${JSON.stringify(join(source, 'link'))} is…`,
    );
    symlinkSync('nothing', join(source, 'a dangling link'));
    refuses(() => saveOutput('d', source), `Output d (directory): ${JSON.stringify(source).slice(0, -1)}…`);
    refuses(
      () => saveOutput('d', stage.root),
      `Output d (directory): ${JSON.stringify(stage.root)} contains…`,
    );
    refuses(
      () => saveOutput('d', { a: 1 }),
      'Output d (directory) takes the path of a folder; or write into outputPath("d").',
    );
    refuses(() => saveOutput('d', file('a file', '')), 'Output d (directory) needs a folder, and …');
    refuses(() => saveOutput('f', pathToFileURL(source)), 'Output f (file) needs a file, and …');
    refuses(
      () => saveOutput('f', '/no/such/file'),
      'Output f (file): there is no file or folder "/no/such/file"; to save the text itself, pass a Buffer.',
    );
    refuses(() => saveOutput('f', pathToFileURL('/no/such')), 'Output f (file): there is no file or folder…');
    refuses(
      () => saveOutput('f', new URL('http://x.org/')),
      'Output f (file): "http://x.org/" is no file URL.',
    );
    refuses(
      () => saveOutput('f', 'half \ud83d'),
      'Output f (file): the text is not valid Unicode at character 5.',
    );
    refuses(() => saveOutput('f', 5), 'Output f (file) cannot hold 5; give a Buffer, text or a path, or…');
    refuses(() => saveOutput('p', Buffer.from('x')), 'Output p (parquet): these bytes are not the content…');
    refuses(() => saveOutput('p', [{ a: 1 }]), 'Output p (parquet) cannot hold…');
    refuses(() => saveOutput('n', 'no file'), 'Output n (npy): there is no file "no file".');
    refuses(
      // @ts-expect-error: options are an object
      () => saveOutput('f', 'x', true),
      'saveOutput takes options as an object, such as { move: … }, not true.',
    );
    expect(readdirSync(stage.outputs)).toEqual(['d']);
    expect(existsSync(stage.output('d/kept'))).toBe(true);
  });

  it('that would be no output of their type when the run ends are refused while the stage can change them', () => {
    const wrong: [keyof typeof TYPES, string, string][] = [
      ['n', 'PK', 'are not the content of a .npy file.'],
      ['z', '', 'are not the content of a .npz file.'],
      ['p', 'PAR', 'are not the content of a .parquet file.'],
      ['c', '', 'are not the content of a .csv file.'],
      ['j', '{"loss": NaN}', 'are not JSON: …'],
    ];
    for (const [name, content, message] of wrong) {
      const path = file('made', content);
      const said = `Output ${name} (${TYPES[name]}): the bytes of ${JSON.stringify(path)} ${message}`;
      refuses(() => saveOutput(name, path), said);
    }
    expect(readdirSync(stage.outputs)).toEqual([]);
    saveOutput('f', file('made', ''));
    saveOutput('p', file('made', 'PAR1'));
    expect(readdirSync(stage.outputs)).toEqual(['f', 'p.parquet']);
    writeFileSync(stage.output('d'), 'a file in the way');
    refuses(() => goldfish.outputPath('d'), 'Output d cannot be made: file already exists.');
  });

  it('that the system refuses are refused in one line of its own words', () => {
    process.env['GOLDFISH_CONFIG'] = file(
      'full.json',
      JSON.stringify({ outputs: { f: { type: 'file', path: '/dev/full/f' } } }),
    );
    refuses(() => saveOutput('f', 'x'), 'Output f (file) cannot be saved: …');
  });

  it('are kept as artifacts beside the outputs, under a plain name', () => {
    const source = file('plot.svg', '<svg/>');
    expect(logArtifact(source)).toBe(join(stage.outputs, 'artifacts', 'plot.svg'));
    logArtifact(pathToFileURL(source), 'epoch 1.svg');
    mkdirSync(join(stage.root, 'figures'));
    logArtifact(join(stage.root, 'figures'), 'plot.svg');
    expect(readdirSync(join(stage.outputs, 'artifacts'))).toEqual(['epoch 1.svg', 'plot.svg']);
    expect(lstatSync(join(stage.outputs, 'artifacts', 'plot.svg')).isDirectory()).toBe(true);
    refuses(() => logArtifact(source, '../x'), 'An artifact\'s name is a plain file name, not "../x".');
    refuses(() => logArtifact('/no/such'), 'Artifact such: there is no file or folder "/no/such".');
  });
});
