import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exportOutput } from '../../src/runs/export-output.ts';
import { createRunsProject, type RunsProject, THREE_STAGES } from '../support/runs-project.ts';

let project: RunsProject;
let runId: string;
let out: string;
beforeEach(async () => {
  project = await createRunsProject({ files: THREE_STAGES });
  const { pipelineRun } = await project.submit();
  await project.tick();
  runId = project.runOf(pipelineRun.id, 'one').id;
  await project.complete(runId, { a: { k: 1 } });
  out = join(project.root, 'elsewhere');
  mkdirSync(out);
});
afterEach(() => project.dispose());

const get = (to: string, output = 'a') => exportOutput(project.deps, { runId, output, to });

describe('an output copied out of the project', () => {
  it('has its own name in a folder, another where one is given, and can be edited', async () => {
    expect(await get(out)).toMatchObject({ runId, path: join(out, 'a.json') });
    expect(JSON.parse(readFileSync(join(out, 'a.json'), 'utf8'))).toEqual({ k: 1 });
    expect(statSync(join(out, 'a.json')).mode & 0o777).toBe(0o644);
    await get(join(out, 'other.json'));
    expect(readdirSync(out).sort()).toEqual(['a.json', 'other.json']);
  });

  it('never replaces what is there', async () => {
    writeFileSync(join(out, 'a.json'), 'mine');
    await expect(get(out)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: '"a.json" exists already; nothing is replaced.',
    });
    expect(readFileSync(join(out, 'a.json'), 'utf8')).toBe('mine');
    expect(readdirSync(out)).toEqual(['a.json']);
  });

  it('goes into a folder that a link leads to, and never through a link of its own name', async () => {
    symlinkSync(out, `${out}-link`);
    expect(await get(`${out}-link`)).toMatchObject({ path: join(`${out}-link`, 'a.json') });
    symlinkSync(join(out, 'nowhere'), join(out, 'b.json'));
    await expect(get(join(out, 'b.json'))).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(readdirSync(out).sort()).toEqual(['a.json', 'b.json']);
  });

  it('is refused with the names there are, and where its folder is missing', async () => {
    await expect(get(out, 'b')).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      hint: expect.stringContaining('It has a.'),
    });
    await expect(get(join(out, 'no/where'))).rejects.toMatchObject({
      message: 'The folder of the destination does not exist.',
    });
    expect(existsSync(join(out, 'no'))).toBe(false);
  });
});
