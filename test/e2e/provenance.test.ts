import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestProject, mountStages, type TestProject, until, waitOver } from '../support/project.ts';

/** Hashes every file of its code folder as the contract says, and waits for a file outside before it ends. */
const HASHING_STAGE = `
import hashlib, os, sys, time
from pathlib import Path
import goldfish

root = Path.cwd()
lines = []
for path in sorted((p for p in root.rglob('*') if p.is_file() and not p.is_symlink()), key=lambda p: p.relative_to(root).as_posix().encode()):
    mode = '100755' if os.access(path, os.X_OK) and path.stat().st_mode & 0o111 else '100644'
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    lines.append(f'{path.relative_to(root).as_posix()}\\0{mode}\\0sha256:{digest}\\n')
goldfish.save_output('tree', {'hash': 'sha256:' + hashlib.sha256(''.join(lines).encode()).hexdigest()})
gate = goldfish.config().get('gate')
deadline = time.monotonic() + 30
while gate and not os.path.exists(gate) and time.monotonic() < deadline:
    time.sleep(0.02)
`;

const PIPELINE = `name: hashing
stages:
  - name: first
    outputs: { tree: json }
  - name: second
    inputs: { before: { from_stage: first, signal: tree } }
    outputs: { tree: json }
`;

/** The tree's hash as the hidden store has it, computed from git's own listing. */
function storedTreeHash(project: TestProject, version: number): string {
  const git = (...args: string[]): Buffer =>
    execFileSync('git', ['--git-dir', join(project.root, '.goldfish', 'versions.git'), ...args]);
  const [row] = project.rows<{ sha: string }>(
    'SELECT git_sha AS sha FROM workspace_versions WHERE version = ?',
    version,
  );
  const entries = git('ls-tree', '-r', '-z', row!.sha)
    .toString('utf8')
    .split('\0')
    .filter((line) => line !== '')
    .map((line) => {
      const [head, path] = line.split('\t');
      const [mode, , blob] = head!.split(' ');
      const content = git('cat-file', 'blob', blob!);
      return {
        path: path!,
        line: `${path}\0${mode}\0sha256:${createHash('sha256').update(content).digest('hex')}\n`,
      };
    })
    .sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  return `sha256:${createHash('sha256')
    .update(entries.map((entry) => entry.line).join(''))
    .digest('hex')}`;
}

describe('a run executes the committed files, never the live slot', () => {
  let project: TestProject;
  beforeEach(() => {
    project = createTestProject({ config: 'process: { sandbox: none }\n' });
  });
  afterEach(() => project.dispose());

  it('stays at its version when the slot is edited right after run returned and before the second stage', async () => {
    const gate = join(project.outside, 'gate');
    const { client, slot, workspace } = await mountStages(project, {
      pipeline: PIPELINE,
      modules: { first: HASHING_STAGE, second: HASHING_STAGE },
      configs: { first: `gate: ${gate}\n` },
    });
    const submitted = await client.call('run', { workspace, reason: 'Hash the code that really runs' });
    project.write(`${slot}/modules/first.py`, 'raise SystemExit("edited too late")\n');
    project.write(`${slot}/modules/second.py`, 'raise SystemExit("edited too late")\n');
    project.write(`${slot}/modules/new_file.py`, 'x = 1\n');

    const id = String(submitted['pipeline_run_id']);
    const state = (stage: string): string | undefined =>
      project.rows<{ state: string }>('SELECT state FROM stage_runs WHERE stage_name = ?', stage)[0]?.state;
    await until(() => state('first') === 'running', 20_000, 'the first stage running');
    project.write(`${slot}/modules/second.py`, 'raise SystemExit("edited again")\n');
    project.write(`${slot}/pipeline.yaml`, 'stages: []\n');
    project.write('../outside/gate', '');
    await waitOver(client, id);

    const listed = await client.call('list_runs', { pipeline_run_id: id });
    const runs = listed['runs'] as { run_id: string; stage: string; state: string }[];
    expect(runs.map((run) => run.state)).toEqual(['completed', 'completed']);
    const expected = storedTreeHash(project, 2);
    for (const run of runs) {
      const details = await client.call('inspect_run', { run_id: run.run_id });
      const [output] = details['outputs'] as { hash: string }[];
      const hex = output!.hash.slice('sha256:'.length);
      const object = join(project.root, '.goldfish', 'objects', 'sha256', hex.slice(0, 2), hex);
      expect(JSON.parse(readFileSync(object, 'utf8'))).toEqual({ hash: expected });
    }
  });
});
