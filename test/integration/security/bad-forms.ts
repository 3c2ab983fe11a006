import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, symlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import type { AttackedProject } from './attacked-project.ts';

/** One bad way to name something, and what stands for it in a report. */
export type Form = { what: string; text: string };

/** Paths that lead to the canary, or would if somebody decoded, normalised or expanded them. */
export function pathForms({ outside, root }: Pick<AttackedProject, 'outside' | 'root'>): Form[] {
  const canary = join(outside, 'canary.txt');
  const encoded = encodeURI(canary).replaceAll('.', '%2e');
  const forms: Record<string, string> = {
    'up and out': '../outside/canary.txt',
    'up and out of a folder of ours': 'workspaces/../../outside/canary.txt',
    'a folder outside': '../outside/folder',
    'the folder above': '..',
    absolute: canary,
    'absolute through the project': `${root}/../outside/canary.txt`,
    'absolute with slashes doubled': `/${canary}`,
    'of the home': '~/canary.txt',
    'of a user': '~root/canary.txt',
    'of a variable': '$HOME/canary.txt',
    'of the machine': '/etc/passwd',
    'through proc': `/proc/self/root${canary}`,
    'an environment': '/proc/self/environ',
    'an endless device': '/dev/zero',
    'standard input': '/dev/stdin',
    NUL: 'goldfish.yaml\0/../../outside/canary.txt',
    'percent signs': '%2e%2e/outside/canary.txt',
    'percent signs throughout': '..%2foutside%2fcanary.txt',
    'percent signs twice': '%252e%252e%252foutside%252fcanary.txt',
    backslashes: '..\\outside\\canary.txt',
    'a drive': 'C:\\outside\\canary.txt',
    'a share': '\\\\127.0.0.1\\outside\\canary.txt',
    'full-width dots': '．．/outside/canary.txt',
    'a two dot leader': '‥/outside/canary.txt',
    'full-width slash': '..／outside／canary.txt',
    'division slash': '..∕outside∕canary.txt',
    'a file address': `file://${canary}`,
    'a file address in capitals': `FILE://${canary}`,
    'a file address of this machine': `file://localhost${canary}`,
    'a file address of another machine': `file://127.0.0.1${canary}`,
    'a file address with percent signs': `file://${encoded}`,
    'a file address with hidden slashes': `file://${root}/..%2foutside/canary.txt`,
    'a file address that climbs': 'file:///../../outside/canary.txt',
    'a web address': 'http://127.0.0.1:9/canary.txt',
    'the address of a cloud machine': 'http://169.254.169.254/latest/meta-data/',
    'a bucket': 'gs://bucket/canary.txt',
    'a repository': 'ssh://-oProxyCommand=touch/x',
    'a git transport': 'ext::sh -c touch% x',
    data: 'data:text/plain,canary',
    'very long': `${'../'.repeat(250)}outside/canary.txt`,
    'one long name': 'x'.repeat(900),
  };
  return Object.entries(forms).map(([what, text]) => ({ what, text }));
}

/** What lies in a slot and leads out of it, or is nothing to be read. Paths relative to the project. */
export async function plantEntries(project: AttackedProject): Promise<{ forms: Form[]; server: Server }> {
  const { outside, root } = project;
  const at = (name: string): string => join(root, 'traps', name);
  mkdirSync(at('folder'), { recursive: true });
  symlinkSync(join(outside, 'canary.txt'), at('link'));
  symlinkSync('../../outside/canary.txt', at('relative-link'));
  symlinkSync(join(outside, 'folder'), at('folder-link'));
  symlinkSync('link', at('chain'));
  symlinkSync('chain', at('longer-chain'));
  symlinkSync(join(outside, 'not-there'), at('dangling'));
  symlinkSync('loop', at('loop'));
  symlinkSync('../.goldfish', at('state'));
  symlinkSync('../.env', at('secrets'));
  symlinkSync('/proc/self', at('proc'));
  symlinkSync(join(outside, 'canary.txt'), at('folder/link'));
  linkSync(join(root, '.env'), at('hard-link-to-secrets'));
  execFileSync('mkfifo', [at('pipe')]);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(at('socket'), resolve));
  if (process.getuid?.() === 0) execFileSync('mknod', [at('device'), 'c', '1', '5']);
  else symlinkSync('/dev/zero', at('device'));
  const names = [
    ...[
      'link',
      'relative-link',
      'folder-link',
      'folder-link/canary.txt',
      'chain',
      'longer-chain',
      'dangling',
    ],
    ...[
      'loop',
      'loop/x',
      'state',
      'state/goldfish.db',
      'secrets',
      'proc/environ',
      'folder',
      'pipe',
      'socket',
      'device',
    ],
  ];
  const own = [
    '.',
    '.env',
    './/.env',
    'workspaces/../.env',
    '.goldfish',
    '.goldfish/goldfish.db',
    '.goldfish/objects',
  ];
  const forms = [...names.map((name) => `traps/${name}`), ...own, '..goldfish/x', 'goldfish.yaml/x'];
  return { forms: forms.map((text) => ({ what: text, text })), server };
}

/** What is no name, and what reads like an option, a ref or a path of the tools beneath. */
export function nameForms(): Form[] {
  const forms: Record<string, string> = {
    'a path': '../../outside',
    'an absolute path': '/etc/passwd',
    'the folder above': '..',
    'the folder itself': '.',
    'the home': '~',
    NUL: 'base\0line',
    'percent signs': '%2e%2e%2foutside',
    backslashes: '..\\outside',
    long: 'x'.repeat(1_000),
    'full-width dots': '．．',
    'a letter of another alphabet': 'bаseline',
    'letters that join': 'basele\u0301ne',
    'an invisible letter': 'base\u200bline',
    'an option': '--upload-pack=touch',
    'a short option': '-rf',
    'an option behind @': 'baseline@--option',
    'a path behind @': 'baseline@../v1',
    'an option as a tag': '@--option',
    'a path as a tag': '@../../outside',
    'a ref': 'refs/heads/baseline',
    'a lock': 'baseline.lock',
    'a time of a ref': 'baseline@{1}',
    'a parent': 'baseline^',
    'a range': 'baseline..w1',
    'a file of a commit': 'baseline:pipeline.yaml',
    'a pattern': ':(glob)**',
    'a star': '*',
    'a shell': '$(touch x)',
    'a quote': "x'; DROP TABLE runs; --",
    'a line break': 'base\nline',
    address: 'file:///etc/passwd',
  };
  return Object.entries(forms).map(([what, text]) => ({ what, text }));
}
