import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { hashJson } from '../../src/core/json.ts';
import { makeRootFileSystem } from './root-file-system.ts';

/** Raise it when what is made of the packages changes. */
const FORMAT = 1;
const PACKAGES = [
  ...[
    'python3',
    'python3-pip',
    'bash',
    'dash',
    'coreutils',
    'sed',
    'grep',
    'findutils',
    'mawk',
    'tar',
    'gzip',
  ],
  ...['procps', 'hostname', 'util-linux'],
];
const CHANGES = [
  'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'ENV LANG=C.UTF-8',
  'CMD ["bash"]',
];

/** The base image of the tests: Debian's Python with a shell and pip, no registry needed. Named by its recipe. */
export const TEST_IMAGE = `goldfish-test-python:${hashJson({ FORMAT, PACKAGES, CHANGES }).slice(7, 19)}`;

/** Makes the image unless the engine has it. */
export async function makeTestImage(): Promise<void> {
  const docker = new Docker({ socketPath: '/var/run/docker.sock' });
  const tags = await docker.listImages({ filters: { reference: [TEST_IMAGE] } });
  if (tags.length > 0) return;
  const folder = await mkdtemp(join(tmpdir(), 'goldfish-image-'));
  try {
    const root = join(folder, 'root');
    await makeRootFileSystem({ root, archives: join(folder, 'archives'), packages: PACKAGES });
    await importFolder(docker, root);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function importFolder(docker: Docker, root: string): Promise<void> {
  const tar = spawn('tar', ['-C', root, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const packed = new Promise<number | null>((resolve) => tar.once('close', resolve));
  const [repo = '', tag = ''] = TEST_IMAGE.split(':');
  const answer = await docker.importImage(tar.stdout, { repo, tag, changes: CHANGES });
  await new Promise((resolve, reject) => answer.resume().once('end', resolve).once('error', reject));
  if ((await packed) !== 0) throw new Error('The root file system could not be packed.');
}
