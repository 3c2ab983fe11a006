import { cpSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assetPath } from '../../../src/core/assets.ts';

const MARKER = /^([ \t]*)# kill point: ([a-z-]+\/[a-z-]+)$/gm;

/** The wrapper gets no environment of ours, so what is wanted stands in the module itself. */
const MODULE = `import os, signal
at, record, passes = AT, RECORD, {}
def here(name):
    passes[name] = passes.get(name, 0) + 1
    if at.get(name) != passes[name]:
        return
    try:
        os.close(os.open(os.path.join(record, name.replace("/", ".")), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except OSError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
`;

/** A copy of runtime/ in which the markers kill the run wrapper, as hook.ts has it of the other programs. */
export function copyRuntime(
  to: string,
  kill: { at: Readonly<Record<string, number>>; record: string },
): void {
  cpSync(assetPath('runtime'), to, { recursive: true, filter: (path) => !path.includes('__pycache__') });
  for (const name of globSync('*.py', { cwd: to })) {
    const file = join(to, name);
    const text = readFileSync(file, 'utf8');
    const call = (_: string, indent: string, point: string): string =>
      `${indent}__import__("kill_point").here("${point}")`;
    writeFileSync(file, text.replaceAll(MARKER, call));
  }
  const module = MODULE.replace('AT', JSON.stringify(kill.at)).replace('RECORD', JSON.stringify(kill.record));
  writeFileSync(join(to, 'kill_point.py'), module);
}
