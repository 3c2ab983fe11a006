import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { SpecInput } from '../../src/backends/port.ts';
import { sha256 } from '../../src/core/json.ts';
import { type Get, py, sh } from './run-backend.ts';

const SHOW = `
import json, os
document = json.load(open(os.environ['GOLDFISH_CONFIG']))
print(json.dumps({'variables': dict(os.environ), 'document': document, 'cwd': os.getcwd()}))
`;

function input(name: string, change: Partial<SpecInput>): SpecInput {
  return { name, type: 'file', hash: sha256(name), kind: 'file', fileName: name, localPath: '', ...change };
}

export function stageOf(get: Get): void {
  describe('a stage', () => {
    it('finds its folders, its identity and its config document by variables', async () => {
      const { handle } = await get().run({
        command: py(SHOW),
        config: { rate: 0.1, nested: { a: [1, null] } },
        outputs: [
          { name: 'model', type: 'directory', fileName: 'model' },
          { name: 'report', type: 'json', fileName: 'report.json' },
        ],
      });
      const { variables, document } = JSON.parse((await get().log(handle)).join(''));
      expect(variables).toMatchObject({
        GOLDFISH_RUN_ID: handle.runId,
        GOLDFISH_WORKSPACE: 'ws',
        GOLDFISH_VERSION: 'v1',
        GOLDFISH_STAGE: 'train',
        GOLDFISH_ATTEMPT: '1',
        GOLDFISH_RANK: '0',
        GOLDFISH_WORLD_SIZE: '1',
      });
      expect(document).toEqual({
        config: { rate: 0.1, nested: { a: [1, null] } },
        inputs: {},
        outputs: {
          model: { type: 'directory', path: join(variables.GOLDFISH_OUTPUTS, 'model') },
          report: { type: 'json', path: join(variables.GOLDFISH_OUTPUTS, 'report.json') },
        },
        run: { run_id: handle.runId, workspace: 'ws', version: 'v1', stage: 'train', attempt: 1 },
      });
    });

    it('gets nothing of the environment of whoever started it', async () => {
      process.env['GOLDFISH_CONTRACT_MARK'] = 'inherited';
      try {
        const { handle } = await get().run({ command: sh('env') });
        const lines = (await get().log(handle)).join('\n');
        expect(lines).not.toContain('inherited');
        const names = lines.split('\n').map((line) => line.split('=')[0] ?? '');
        const own = names.filter((name) => !/^(GOLDFISH|PYTHON)/.test(name)).sort();
        const usual = [
          'HOME',
          'LANG',
          'PATH',
          'TMPDIR',
          'LC_CTYPE',
          'PWD',
          'OLDPWD',
          'SHLVL',
          '_',
          'HOSTNAME',
        ];
        expect(own.filter((name) => !usual.includes(name))).toEqual([]);
      } finally {
        delete process.env['GOLDFISH_CONTRACT_MARK'];
      }
    });

    it('stands in its code, which it reads and cannot change', async () => {
      const h = get();
      await h.write('modules/helper.py', 'VALUE = 42\n');
      await h.write('note.txt', 'of the version');
      // Whatever the modes allow: what keeps the stage from it is the backend.
      await chmod(h.codeDir, 0o777);
      await chmod(join(h.codeDir, 'note.txt'), 0o666);
      await chmod(join(h.codeDir, 'modules'), 0o777);
      const { handle, result } = await h.run({
        command: py(`
import os
from modules import helper
print(helper.VALUE, open('note.txt').read())
for path in ('note.txt', 'new.txt', 'modules/new.py'):
    try:
        open(path, 'w').write('changed'); print('WROTE', path)
    except OSError: pass
`),
      });
      expect(result.exitCode).toBe(0);
      const lines = await h.log(handle);
      expect(lines[0]).toBe('42 of the version');
      // Without a sandbox nothing does but the modes of a real checkout.
      if (h.backend.capabilities.isolation !== 'none') {
        expect(lines).toHaveLength(1);
        expect(await readFile(join(h.codeDir, 'note.txt'), 'utf8')).toBe('of the version');
      }
    });

    it('gets values byte for byte, whatever characters they hold', async () => {
      const values = {
        QUOTES: `a'b"c\`d`,
        SHELL_WORDS: '$HOME $(id) ; rm -rf / && | > < * ? [x] {a,b} ~ # !',
        LINES: 'one\ntwo\r\n\ttab\\n',
        WIDE: 'ünïcödé 🐟 \u2028 \u0001',
        EMPTY: '',
        SPACES: '  both ends  ',
        EQUALS: '=a=b=',
      };
      const words = Object.values(values);
      const { handle } = await get().run({
        environment: values,
        command: [
          ...py(
            'import os,sys,json; print(json.dumps([{k: os.environb[k.encode()].hex() for k in os.environ}, [os.fsencode(a).hex() for a in sys.argv[1:]]]))',
          ),
          ...words,
        ],
      });
      const [seen, argv] = JSON.parse((await get().log(handle)).join(''));
      const text = (hex: string): string => Buffer.from(hex, 'hex').toString('utf8');
      for (const [name, value] of Object.entries(values)) expect(text(seen[name]), name).toBe(value);
      expect(argv.map(text)).toEqual(words);
    });

    it('has an empty input and no terminal', async () => {
      const { handle } = await get().run({
        command: py('import sys; print(repr(sys.stdin.read()), sys.stdin.isatty(), sys.stdout.isatty())'),
      });
      expect(await get().log(handle)).toEqual(["'' False False"]);
    });

    it('reads inputs under their names, spaces and unicode too, and cannot change what is stored', async () => {
      const h = get();
      const stored = join(h.layout.objects, 'ab');
      await mkdir(join(stored, 'folder/deep er'), { recursive: true });
      await writeFile(join(stored, 'object'), 'stored bytes', { mode: 0o444 });
      await writeFile(join(stored, 'folder/deep er/ü.txt'), 'inner', { mode: 0o444 });
      await mkdir(join(stored, 'empty'));
      const { handle, result } = await h.run({
        inputs: [
          input('raw', { type: 'csv', fileName: 'raw.csv', localPath: join(stored, 'object') }),
          input('model', { type: 'directory', kind: 'folder', localPath: join(stored, 'folder') }),
          input('mine ü', { localPath: join(stored, 'object'), fileName: 'mine ü, $x' }),
          input('nothing', { type: 'directory', kind: 'folder', localPath: join(stored, 'empty') }),
        ],
        command: py(`
import os
i = os.environ['GOLDFISH_INPUTS']
print(open(i + '/raw.csv').read(), open(i + '/model/deep er/ü.txt').read(), open(i + '/mine ü, $x').read())
print(sorted(os.listdir(i)), os.listdir(i + '/nothing'))
for path in ['raw.csv', 'model/deep er/ü.txt', 'new', 'model/new', 'nothing/new']:
    try:
        open(i + '/' + path, 'w').write('changed'); print('WROTE', path)
    except OSError: pass
`),
      });
      expect(result.exitCode).toBe(0);
      expect(await h.log(handle)).toEqual([
        'stored bytes inner stored bytes',
        "['mine ü, $x', 'model', 'nothing', 'raw.csv'] []",
      ]);
      expect(await readFile(join(stored, 'object'), 'utf8')).toBe('stored bytes');
      expect(await readdir(join(stored, 'empty'))).toEqual([]);
    });

    it('leaves outputs that we can read, in folders that are there when it starts', async () => {
      const h = get();
      const { handle, result } = await h.run({
        outputs: [{ name: 'model', type: 'directory', fileName: 'model' }],
        command: sh(
          'umask 077; echo inner > "$GOLDFISH_OUTPUTS/model/weights"; echo outer > "$GOLDFISH_OUTPUTS/sp ace ü"',
        ),
      });
      expect(result.exitCode).toBe(0);
      const { outputs } = h.layout.attempt(handle.runId, 1);
      expect(await readFile(join(outputs, 'model', 'weights'), 'utf8')).toBe('inner\n');
      expect(await readFile(join(outputs, 'sp ace ü'), 'utf8')).toBe('outer\n');
      expect((await stat(outputs)).mode & 0o777).toBe(0o700);
    });

    it('has a home and a temporary folder of its own, empty, which go with it', async () => {
      const h = get();
      const script = 'ls -A "$HOME" "$TMPDIR" | grep -v : ; echo kept > "$HOME/.cache-of-mine"; echo "$HOME"';
      const first = await h.run({ command: sh(script) });
      const second = await h.run({ command: sh(script) });
      for (const { handle, result } of [first, second]) {
        expect(result.exitCode).toBe(0);
        expect((await h.log(handle)).filter((line) => line !== '')).toHaveLength(1);
        await h.backend.cleanup(handle);
        expect(await readdir(h.layout.attempt(handle.runId, 1).dir)).not.toContain('tmp');
      }
    });

    it('finds what an earlier attempt saved, whoever that ran as', async () => {
      const h = get();
      const spec = await h.spec({
        command: sh('cat "$GOLDFISH_CHECKPOINTS/a/state" && echo more >> "$GOLDFISH_CHECKPOINTS/a/state"'),
      });
      await mkdir(join(spec.checkpointsDir, 'a'), { mode: 0o700 });
      await writeFile(join(spec.checkpointsDir, 'a', 'state'), 'epoch 3\n', { mode: 0o600 });
      const handle = await h.backend.launch(spec);
      const { result } = await h.ended(handle);
      expect(result.exitCode).toBe(0);
      expect(await h.log(handle)).toEqual(['epoch 3']);
      expect(await readFile(join(spec.checkpointsDir, 'a', 'state'), 'utf8')).toBe('epoch 3\nmore\n');
    });

    it('imports the stage library, whose metrics and heartbeat reach us', async () => {
      const h = get();
      const { handle, result } = await h.run({
        outputs: [{ name: 'report', type: 'json', fileName: 'report.json' }],
        command: py(
          'import goldfish; goldfish.log_metric("loss", 0.5, step=1); goldfish.heartbeat("here"); goldfish.save_output("report", {"a": 1})',
        ),
      });
      expect(result.exitCode).toBe(0);
      const folders = h.layout.attempt(handle.runId, 1);
      expect(await readFile(folders.metrics, 'utf8')).toContain('"loss"');
      await stat(folders.heartbeat);
      expect(JSON.parse(await readFile(join(folders.outputs, 'report.json'), 'utf8'))).toEqual({ a: 1 });
    });

    it('has threads, helper processes and shared memory', async () => {
      const { result, handle } = await get().run({
        command: py(`
import multiprocessing, threading
def work(queue): queue.put(7)
if __name__ == '__main__':
    queue = multiprocessing.get_context('fork').Queue()
    process = multiprocessing.get_context('fork').Process(target=work, args=(queue,))
    process.start(); value = queue.get(); process.join()
    thread = threading.Thread(target=lambda: print('thread', value)); thread.start(); thread.join()
    from multiprocessing import shared_memory
    memory = shared_memory.SharedMemory(create=True, size=1000); memory.buf[0] = 1; memory.close(); memory.unlink()
`),
      });
      expect(await get().log(handle)).toEqual(['thread 7']);
      expect(result.exitCode).toBe(0);
    });

    it('cannot have more processes than its limit', async () => {
      const { resources } = await get().spec();
      const { handle, result } = await get().run({
        resources: { ...resources, pidsLimit: 20 },
        command: py(`
import os, sys, time
made = 0
try:
    for _ in range(60):
        if os.fork() == 0: time.sleep(30); os._exit(0)
        made += 1
except OSError: pass
print('made', made)
`),
      });
      const all = await get().log(handle);
      expect(all, JSON.stringify(result)).toEqual([expect.stringMatching(/^made \d+$/)]);
      const [line] = all;
      // Without the right to make a group there is no limit to keep; a backend with isolation always has one.
      if (get().backend.capabilities.isolation === 'none' && line === 'made 60') return;
      expect(Number(line?.replace('made ', ''))).toBeLessThanOrEqual(20);
      expect(Number(line?.replace('made ', ''))).toBeGreaterThan(10);
    });
  });
}
