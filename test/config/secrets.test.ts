import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkConfig } from '../../src/config/load-config.ts';
import { createSecrets } from '../../src/config/secrets.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'goldfish-secrets-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function dotenv(text: string, mode = 0o600): void {
  writeFileSync(join(root, '.env'), text);
  chmodSync(join(root, '.env'), mode);
}

async function check(text: string, environment: Record<string, string> = {}) {
  writeFileSync(join(root, 'goldfish.yaml'), `project_name: p\n${text}`);
  return checkConfig({ root, cpus: 4, environment });
}

describe('values from the environment', () => {
  it('are those of the process, else of .env beside goldfish.yaml', () => {
    dotenv('# keys\nTOKEN="a b"\nexport OTHER=x # note\nHOME=/elsewhere\nEMPTY=\n');
    const secrets = createSecrets({ root, environment: { HOME: '/root' } });
    expect(['TOKEN', 'OTHER', 'HOME', 'EMPTY', 'NONE'].map(secrets.value)).toEqual([
      'a b',
      'x',
      '/root',
      '',
      undefined,
    ]);
    expect(secrets.missing(['NONE', 'TOKEN', 'NONE'])).toEqual(['NONE']);
    expect(secrets.refusal()).toBeNull();
  });

  it('are looked up afresh whenever .env changes', () => {
    const secrets = createSecrets({ root, environment: {} });
    expect(secrets.missing(['TOKEN'])).toEqual(['TOKEN']);
    dotenv('TOKEN=one\n');
    expect(secrets.value('TOKEN')).toBe('one');
    dotenv('TOKEN=two\n');
    expect(secrets.value('TOKEN')).toBe('two');
    rmSync(join(root, '.env'));
    expect(secrets.value('TOKEN')).toBeUndefined();
  });

  it.each([0o640, 0o604, 0o620, 0o666])(
    'are not read from a .env of mode %o, which others can reach',
    (mode) => {
      dotenv('TOKEN=one\n', mode);
      const secrets = createSecrets({ root, environment: {} });
      expect(secrets.value('TOKEN')).toBeUndefined();
      expect(secrets.refusal()).toEqual({
        message: 'It is not read: it may be read or written by others than its owner.',
        hint: 'Run: chmod 600 .env',
      });
      chmodSync(join(root, '.env'), 0o600);
      expect(secrets.value('TOKEN')).toBe('one');
      expect(secrets.refusal()).toBeNull();
    },
  );

  it('are not read from a folder in place of .env', () => {
    mkdirSync(join(root, '.env'));
    const secrets = createSecrets({ root, environment: {} });
    expect(secrets.refusal()?.message).toBe('It is not read: it is not a file.');
  });

  it('are those of the file that a link leads to, judged by that file', () => {
    const kept = join(root, 'kept.txt');
    writeFileSync(kept, 'TOKEN=one\n', { mode: 0o600 });
    symlinkSync('kept.txt', join(root, '.env'));
    const secrets = createSecrets({ root, environment: {} });
    expect(secrets.value('TOKEN')).toBe('one');
    chmodSync(kept, 0o644);
    expect(secrets.value('TOKEN')).toBeUndefined();
    expect(secrets.refusal()?.message).toBe(
      'It is not read: it may be read or written by others than its owner.',
    );
    rmSync(kept);
    expect(secrets.value('TOKEN')).toBeUndefined();
  });

  it('are not read from a pipe or a socket, for which nobody waits', async () => {
    execFileSync('mkfifo', ['-m', '600', join(root, '.env')]);
    const secrets = createSecrets({ root, environment: {} });
    expect(secrets.value('TOKEN')).toBeUndefined();
    expect(secrets.refusal()?.message).toBe('It is not read: it is not a file.');
    rmSync(join(root, '.env'));
    const server = createServer().listen(join(root, '.env'));
    await once(server, 'listening');
    chmodSync(join(root, '.env'), 0o600);
    expect(secrets.value('TOKEN')).toBeUndefined();
    expect(secrets.refusal()?.message).toBe('It is not read: it is not a file.');
    server.close();
  });

  it.skipIf(process.getuid?.() !== 0)('are not read from a .env of another user (needs root)', () => {
    dotenv('TOKEN=one\n');
    chownSync(join(root, '.env'), 65534, 65534);
    const secrets = createSecrets({ root, environment: {} });
    expect(secrets.value('TOKEN')).toBeUndefined();
    expect(secrets.refusal()?.message).toBe('It is not read: it belongs to another user.');
  });

  it('are known, old and new, so that nobody who may still hold one can print it', () => {
    dotenv('TOKEN=the-first-value\nMODE=short\nUNUSED=never-looked-up\n');
    const secrets = createSecrets({ root, environment: { FROM_OUTSIDE: 'not-looked-up-either' } });
    expect(secrets.everyValue(['TOKEN', 'NONE'])).toEqual(['the-first-value']);
    dotenv('TOKEN=the-second-value\n');
    expect(secrets.everyValue(['TOKEN'])).toEqual(['the-first-value', 'the-second-value']);
    expect(secrets.known()).toEqual(['the-first-value', 'the-second-value']);
    dotenv('TOKEN=the-second-value\nMODE=short\nUNUSED=never-looked-up\n');
    expect(secrets.known()).toEqual(['the-first-value', 'the-second-value', 'never-looked-up']);
  });

  it('are missing with a note about a .env that others can read', async () => {
    dotenv('TOKEN=one\n', 0o644);
    const { loaded, notes } = await check('');
    expect(loaded).not.toBeNull();
    expect(notes).toEqual([
      {
        file: '.env',
        line: 0,
        column: 0,
        message: 'It is not read: it may be read or written by others than its owner.',
        hint: 'Run: chmod 600 .env',
      },
    ]);
  });
});

describe('docker.host from the environment', () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the syntax of the file
  const REFERENCE = 'docker:\n  host: ${env:ENGINE}\n';

  it('is the value of that name, and is shown as its name', async () => {
    const { loaded } = await check(REFERENCE, { ENGINE: 'tcp://10.0.0.1:2375' });
    expect(loaded?.config.docker).toMatchObject({ host: 'tcp://10.0.0.1:2375', hostProblem: null });
    expect(JSON.stringify(loaded?.settings)).not.toContain('10.0.0.1');
    expect(loaded?.settings.find(({ key }) => key === 'docker.host')).toEqual({
      key: 'docker.host',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the syntax of the file
      value: '${env:ENGINE}',
      origin: 'goldfish.yaml:3',
    });
  });

  it('falls back to no other engine where the name is not set, or holds no address', async () => {
    const unset = (await check(REFERENCE)).loaded?.config.docker;
    expect(unset).toMatchObject({ host: null, hostProblem: 'docker.host names ENGINE, which is not set' });
    const wrong = (await check(REFERENCE, { ENGINE: 's3cret' })).loaded?.config.docker;
    expect(wrong).toMatchObject({
      host: null,
      hostProblem: 'docker.host names ENGINE, which holds no address',
    });
  });

  it.each([
    // biome-ignore-start lint/suspicious/noTemplateCurlyInString: the syntax of the file
    ['docker: { host: "tcp://${env:ENGINE}:2375" }', 'is "${env:NAME}" and nothing else'],
    ['docker: { host: "${env:engine}" }', 'is "${env:NAME}" and nothing else'],
    ['docker: { base_image: "${env:IMAGE}" }', 'is not possible here'],
    ['project_name: "${env:NAME}"', 'is not possible here'],
    ['data_roots: ["${env:DATA}"]', 'is not possible here'],
    // biome-ignore-end lint/suspicious/noTemplateCurlyInString: the syntax of the file
  ])('is nowhere else and in no other form: %s', async (line, message) => {
    writeFileSync(
      join(root, 'goldfish.yaml'),
      line.startsWith('project') ? line : `project_name: p\n${line}\n`,
    );
    const { loaded, problems } = await checkConfig({ root, environment: {} });
    expect(loaded).toBeNull();
    expect(problems.map((problem) => problem.message).join('\n')).toContain(message);
  });
});
