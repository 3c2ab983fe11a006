import { spawnSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

const SCRIPT = `
import sys, zipfile
path, name, version = sys.argv[1:]
info = f'{name}-{version}.dist-info/'
with zipfile.ZipFile(path, 'w') as z:
    z.writestr(f'{name}.py', f'VERSION = {version!r}\\n')
    z.writestr(info + 'METADATA', f'Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n')
    z.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    z.writestr(info + 'RECORD', '')
`;

/** A wheel is a zip with a few named files; made here so that nothing is fetched. Answers its path below `folder`. */
export async function writeWheel(folder: string, name: string, version: string): Promise<string> {
  const file = `wheels/${name}-${version}-py3-none-any.whl`;
  await mkdir(join(folder, 'wheels'), { recursive: true });
  const made = spawnSync('python3', ['-c', SCRIPT, join(folder, file), name, version]);
  if (made.status !== 0) throw new Error(`${made.stderr}`);
  return file;
}
