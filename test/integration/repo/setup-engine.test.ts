import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { assetPath } from '../../../src/core/assets.ts';

const run = promisify(execFile);

/**
 * In namespaces of its own: an empty /run and an empty home of the engine, and a network that is nobody else's. The
 * engine of the machine is not seen from there, and nothing of this one is left when the shell ends.
 */
const PLACE = `
set -e
mount --make-rprivate /
mount -t tmpfs none /run
mkdir -p /var/lib/goldfish-engine
mount -t tmpfs none /var/lib/goldfish-engine
start() { "$NODE" -e 'import(process.argv[1]).then((m) => m.startEngine()).then(() => console.log("up"))' "$ENGINE"; }
pid() { cat /var/lib/goldfish-engine/pid; }
`;

async function inPlace(script: string): Promise<string[]> {
  const options = ['--mount', '--net', '--pid', '--fork', '--mount-proc', '--kill-child'];
  const { stdout } = await run('unshare', [...options, 'bash', '-c', `${PLACE}\n${script}`], {
    env: { ...process.env, NODE: process.execPath, ENGINE: assetPath('scripts/setup/engine.ts') },
  });
  return stdout.trim().split('\n');
}

const able = process.getuid?.() === 0 && existsSync('/usr/sbin/dockerd');
const needs = able ? '' : ' (needs root and dockerd: GOLDFISH_SETUP=1 npm test)';

describe.skipIf(!able)(`the engine of the setup${needs}`, () => {
  it('is started once, however often it is asked for', async () => {
    expect(await inPlace('start; a=$(pid); start; [ "$a" = "$(pid)" ] && echo same')).toEqual([
      'up',
      'up',
      'same',
    ]);
  });

  it('is started once when several ask at the same time', async () => {
    const lines = await inPlace(
      'start & a=$!; start & b=$!; start & c=$!; wait $a; wait $b; wait $c; pgrep -x dockerd | wc -l',
    );
    expect(lines).toEqual(['up', 'up', 'up', '1']);
  });

  it('comes up again at once after it was killed, over what it left', async () => {
    const began = performance.now();
    expect(await inPlace('start; kill -9 $(pid); start; pgrep -x dockerd | wc -l')).toEqual([
      'up',
      'up',
      '1',
    ]);
    expect(performance.now() - began).toBeLessThan(30_000);
  });

  it('comes up after a pid file that names somebody else, who is left alone', async () => {
    const lines = await inPlace(
      'sleep 300 & echo $! > /var/lib/goldfish-engine/pid; start; kill -0 %1 && echo alive',
    );
    expect(lines).toEqual(['up', 'alive']);
  });
});
