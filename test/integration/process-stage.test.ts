import { spawnSync } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listSegments } from '../../src/backends/log-format.ts';
import { readLog } from '../../src/backends/log-segments.ts';
import { sha256 } from '../../src/core/json.ts';
import { endOf, type Harness, openHarness, readIfThere, until } from '../backends/process-harness.ts';

const bwrap =
  spawnSync('bwrap', ['--ro-bind', '/', '/', '--unshare-pid', '--proc', '/proc', '--dev', '/dev', 'true'])
    .status === 0;

const py = (script: string): string[] => ['python', '-c', script];

for (const mode of ['none', 'bubblewrap'] as const) {
  const title =
    mode === 'none'
      ? 'without a sandbox'
      : `in bubblewrap${bwrap ? '' : ' (needs bubblewrap: GOLDFISH_SETUP=1 npm test)'}`;
  describe.skipIf(mode === 'bubblewrap' && !bwrap)(title, () => {
    let h: Harness;
    beforeAll(async () => {
      h = await openHarness(mode);
    });
    afterAll(() => h.close());

    it('says in a sentence why a program could not be started', async () => {
      await h.write('data.txt', 'no program');
      await h.write('bad.sh', '#!/no/such/interpreter\n');
      await chmod(join(h.codeDir, 'bad.sh'), 0o755);
      const missing = await h.run({ command: ['no-such-program-here'] });
      expect(missing.result).toMatchObject({ started: false, exitCode: null, signal: null, startedAt: null });
      expect(missing.result.error).toBe('The program "no-such-program-here" was not found.');
      const plain = await h.run({ command: ['./data.txt'] });
      expect(plain.result.error).toBe('"./data.txt" is not an executable file, or may not be executed.');
      const shebang = await h.run({ command: ['./bad.sh'] });
      expect(shebang.result.error).toBe(
        '"./bad.sh" cannot run: the interpreter in its first line is not there.',
      );
    });

    it('gives the stage its folders, variables and config document, and nothing of our environment', async () => {
      const { result, handle } = await h.run({
        command: py(
          'import json,os; print(json.dumps(dict(os.environ))); print(open(os.environ["GOLDFISH_CONFIG"]).read()); print(os.getcwd())',
        ),
        config: { rate: 0.1, nested: { a: [1, null] } },
        outputs: [
          { name: 'model', type: 'directory', fileName: 'model' },
          { name: 'report', type: 'json', fileName: 'report.json' },
        ],
      });
      expect(result.exitCode).toBe(0);
      const [variables, document, cwd] = await h.log(handle);
      const folders = h.layout.attempt(handle.runId, 1);
      const environment = JSON.parse(variables!);
      expect(environment).toMatchObject({
        GOLDFISH_INPUTS: folders.inputs,
        GOLDFISH_OUTPUTS: folders.outputs,
        GOLDFISH_CONTROL: folders.control,
        GOLDFISH_CHECKPOINTS: folders.checkpoints,
        GOLDFISH_RUN_ID: handle.runId,
        GOLDFISH_WORKSPACE: 'ws',
        GOLDFISH_VERSION: 'v1',
        GOLDFISH_STAGE: 'train',
        GOLDFISH_ATTEMPT: '1',
        TMPDIR: folders.temp,
        HOME: folders.temp,
      });
      const names = Object.keys(environment).filter((name) => !name.startsWith('GOLDFISH_'));
      expect(new Set(names)).toEqual(
        new Set([
          'PATH',
          'HOME',
          'TMPDIR',
          'LANG',
          'PYTHONDONTWRITEBYTECODE',
          'PYTHONUNBUFFERED',
          'PYTHONNOUSERSITE',
          'PYTHONPATH',
          ...names.filter((name) => ['LC_CTYPE', 'PWD'].includes(name)),
        ]),
      );
      expect(JSON.parse(document!)).toEqual({
        config: { rate: 0.1, nested: { a: [1, null] } },
        inputs: {},
        outputs: {
          model: { type: 'directory', path: join(folders.outputs, 'model') },
          report: { type: 'json', path: join(folders.outputs, 'report.json') },
        },
        run: { run_id: handle.runId, workspace: 'ws', version: 'v1', stage: 'train', attempt: 1 },
      });
      expect(cwd).toBe(h.codeDir);
      expect((await stat(join(folders.outputs, 'model'))).isDirectory()).toBe(true);
      expect((await stat(folders.outputs)).mode & 0o777).toBe(0o700);
    });

    it('hands environment values over byte for byte, whatever characters they hold', async () => {
      const values = {
        QUOTES: `a'b"c\`d`,
        SHELL_WORDS: '$HOME $(id) ; rm -rf / && | > < * ? [x] {a,b} ~ # !',
        LINES: 'one\ntwo\r\n\ttab\\n',
        WIDE: 'ünïcödé 🐟 \u2028 \u0001',
        EMPTY: '',
        SPACES: '  both ends  ',
        EQUALS: '=a=b=',
      };
      const { handle } = await h.run({
        environment: values,
        command: py(
          'import os,json; print(json.dumps({k: os.environb[k.encode()].hex() for k in os.environ}))',
        ),
      });
      const seen = JSON.parse((await h.log(handle))[0]!);
      for (const [name, value] of Object.entries(values)) {
        expect(Buffer.from(seen[name], 'hex').toString('utf8'), name).toBe(value);
      }
    });

    it('hands secrets over without leaving them in files, arguments or the log', async () => {
      const secret = `s3cr3t-${Math.random()}-"quoted"`;
      const spec = await h.spec({
        secrets: { API_TOKEN: secret, PEM: 'first secret line\nsecond secret line' },
        command: py(
          'import os,json,time,sys; t=os.environ["API_TOKEN"]; print("plain", t); print(json.dumps({"token": t})); sys.stderr.write("half " + t[:5]); sys.stderr.flush(); sys.stderr.write(t[5:] + "\\n"); print(os.environ["PEM"]); print(len(t), flush=True); open(os.environ["GOLDFISH_CONTROL"] + "/go", "w"); time.sleep(60)',
        ),
      });
      const handle = await h.backend.launch(spec);
      const folders = h.layout.attempt(handle.runId, 1);
      await until(() => readIfThere(join(folders.control, 'go')), 'the program ran');
      expect(spawnSync('ps', ['axww', '-o', 'args'], { encoding: 'utf8' }).stdout).not.toContain('s3cr3t-');
      await h.backend.terminate(handle, { graceSeconds: 0, reason: 'cancel' });
      await endOf(h.backend, handle);
      const lines = await h.log(handle);
      expect(lines).toEqual(
        expect.arrayContaining(['plain ***', '{"token": "***"}', 'half ***', '***', `${secret.length}`]),
      );
      for (const file of await readdir(folders.dir, { recursive: true, withFileTypes: true })) {
        if (!file.isFile()) continue;
        const content = await readFile(join(file.parentPath, file.name), 'latin1');
        expect(content, file.name).not.toContain('s3cr3t-');
        expect(content, file.name).not.toContain('secret line');
      }
      expect((await stat(folders.spec)).mode & 0o777).toBe(0o600);
    });

    it('refuses reserved names and values no environment can hold', async () => {
      const reserved = await h.spec({ environment: { GOLDFISH_RUN_ID: 'x' } });
      await expect(h.backend.launch(reserved)).rejects.toMatchObject({
        code: 'INVALID_CONFIG',
        message: 'The environment variable "GOLDFISH_RUN_ID" is reserved.',
      });
      const nul = await h.spec({ secrets: { TOKEN: 'a\0b' } });
      await expect(h.backend.launch(nul)).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
    });

    it('gives inputs by their file names, and neither they nor what is stored can be written', async () => {
      const stored = join(h.layout.objects, 'ab');
      await mkdir(stored, { recursive: true });
      await writeFile(join(stored, 'object'), 'stored bytes', { mode: 0o444 });
      await mkdir(join(stored, 'folder/deep er'), { recursive: true });
      await writeFile(join(stored, 'folder/deep er/ü.txt'), 'inner', { mode: 0o444 });
      await writeFile(join(h.codeDir, 'code.txt'), 'code');
      const { handle, result } = await h.run({
        inputs: [
          {
            name: 'raw',
            type: 'csv',
            hash: sha256('x'),
            kind: 'file',
            fileName: 'raw.csv',
            localPath: join(stored, 'object'),
          },
          {
            name: 'model',
            type: 'directory',
            hash: sha256('y'),
            kind: 'folder',
            fileName: 'model',
            localPath: join(stored, 'folder'),
          },
        ],
        command: py(`
import os
i = os.environ['GOLDFISH_INPUTS']
print(open(i + '/raw.csv').read(), open(i + '/model/deep er/ü.txt').read(), sorted(os.listdir(i)))
for path in ['raw.csv', 'model/deep er/ü.txt', 'new', 'model/new']:
    try:
        open(i + '/' + path, 'w').write('changed'); print('WROTE', path)
    except OSError: pass
`),
      });
      expect(result.exitCode).toBe(0);
      expect(await h.log(handle)).toEqual(["stored bytes inner ['model', 'raw.csv']"]);
      expect(await readFile(join(stored, 'object'), 'utf8')).toBe('stored bytes');
      await h.backend.cleanup(handle);
      expect(await readdir(h.layout.attempt(handle.runId, 1).dir)).not.toContain('inputs');
      expect(await readFile(join(stored, 'folder/deep er/ü.txt'), 'utf8')).toBe('inner');
    });

    it('says which input has lost its content', async () => {
      const spec = await h.spec({
        inputs: [
          {
            name: 'raw',
            type: 'csv',
            hash: sha256('x'),
            kind: 'file',
            fileName: 'raw.csv',
            localPath: join(h.outside, 'gone'),
          },
        ],
      });
      await expect(h.backend.launch(spec)).rejects.toMatchObject({
        code: 'INPUT_UNAVAILABLE',
        message: 'The content of input "raw" is no longer there.',
      });
    });

    it('limits memory', async () => {
      const { result, handle } = await h.run({
        resources: {
          nodes: 1,
          memoryBytes: 120_000_000,
          cpus: null,
          gpus: 0,
          pidsLimit: null,
          network: true,
        },
        command: py(
          'x = bytearray(60_000_000); print("first"); y = bytearray(200_000_000); print("second", len(y))',
        ),
      });
      // A limit of the kernel's for the whole tree where we may set one, else one for each process.
      if (result.oom) expect(result).toMatchObject({ signal: 'SIGKILL', exitCode: null });
      else expect(result).toMatchObject({ exitCode: 1, signal: null });
      expect(await h.log(handle)).toContain('first');
      expect(await h.log(handle)).not.toContain('second 200000000');
    });

    it('logs a flood of a million lines completely and in order', { timeout: 60_000 }, async () => {
      const began = performance.now();
      const { handle, result } = await h.run({
        command: py(
          'import sys; w = sys.stdout.write\nfor i in range(0, 1000000, 1000): w("".join("line %07d\\n" % j for j in range(i, i + 1000)))',
        ),
      });
      console.log(`${mode}: a million lines in ${Math.round(performance.now() - began)} ms`);
      expect(result).toMatchObject({ exitCode: 0, error: null, logBytes: 41_000_000 });
      const { log: dir } = h.layout.attempt(handle.runId, 1);
      let cursor = 0;
      let next = 0;
      for (;;) {
        const page = await readLog({ dir, cursor, limitLines: 7_777, limitBytes: 300_000 });
        for (const line of page.lines) {
          if (line.text !== `line ${`${next}`.padStart(7, '0')}`)
            throw new Error(`expected line ${next}, got ${line.text}`);
          next += 1;
        }
        cursor = page.nextOffset;
        if (!page.more) break;
      }
      expect(next).toBe(1_000_000);
    });

    it('keeps the first segment and the newest seven of a flood, and says where the gap is', {
      timeout: 60_000,
    }, async () => {
      const { handle, result } = await h.run({
        command: py(
          'import sys; b = sys.stdout.buffer\nfor i in range(200): b.write(b"".join(b"%08d %s\\n" % (i * 1000 + j, b"x" * 1000) for j in range(1000)))',
        ),
      });
      expect(result).toMatchObject({ exitCode: 0, error: null });
      const { log: dir } = h.layout.attempt(handle.runId, 1);
      const segments = await listSegments(dir);
      expect(segments).toHaveLength(8);
      expect(segments[0]!.start).toBe(0);
      let cursor = 0;
      let lines = 0;
      let last = '';
      const gaps: { from: number; to: number }[] = [];
      for (;;) {
        const page = await readLog({ dir, cursor });
        lines += page.lines.length;
        last = page.lines.at(-1)?.text ?? last;
        if (page.gap) gaps.push(page.gap);
        cursor = page.nextOffset;
        if (!page.more) break;
      }
      expect(gaps).toEqual([{ from: expect.any(Number), to: segments[1]!.start }]);
      expect(cursor).toBe(result.logBytes);
      expect(last.startsWith('00199999 ')).toBe(true);
      expect(lines).toBe((result.logBytes - (gaps[0]!.to - gaps[0]!.from)) / 1038);
    });

    it('cuts long lines between characters, keeps bytes that are no text, and closes a last line without newline', async () => {
      const { handle } = await h.run({
        command: py(
          'import sys; b = sys.stdout.buffer; b.write("é🐟".encode() * 10000 + b"\\n"); b.write(b"crlf\\r\\n"); b.write(b"\\xff\\xfe bad\\n\\n"); b.flush(); sys.stderr.write("no newline")',
        ),
      });
      const page = await readLog({ dir: h.layout.attempt(handle.runId, 1).log });
      const out = page.lines.filter((line) => line.stream === 'stdout');
      const long = out.slice(0, -3);
      expect(long.map((line) => line.partial ?? false)).toEqual([
        ...Array(long.length - 1).fill(true),
        false,
      ]);
      expect(long.map((line) => line.text).join('')).toBe('é🐟'.repeat(10000));
      expect(out.slice(-3).map((line) => line.text)).toEqual(['crlf', '\ufffd\ufffd bad', '']);
      expect(page.lines.filter((line) => line.stream === 'stderr').map((line) => line.text)).toEqual([
        'no newline',
      ]);
    });

    it('hides a secret that lies across the cut of a long line', async () => {
      const { handle } = await h.run({
        secrets: { TOKEN: 'very-secret-token' },
        command: py('import os; print("x" * (16 * 1024 - 5) + os.environ["TOKEN"] + "y" * 40000)'),
      });
      const text = (await h.log(handle)).join('');
      expect(text).toBe(`${'x'.repeat(16 * 1024 - 5)}***${'y'.repeat(40000)}`);
    });
  });
}
