import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { projectMark } from '../../src/os/project-mark.ts';

let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'goldfish-mark-'));
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

it('is made once, whoever asks first, and stays', async () => {
  const marks = await Promise.all(Array.from({ length: 8 }, () => projectMark({ stateDir })));
  expect(new Set(marks).size).toBe(1);
  expect(marks[0]).toMatch(/^gf-[0-9a-f]{16}$/);
  expect(await projectMark({ stateDir })).toBe(marks[0]);
  expect(readdirSync(stateDir)).toEqual(['project-mark']);
});

it('is never replaced where it is damaged', async () => {
  writeFileSync(join(stateDir, 'project-mark'), 'gf-');
  await expect(projectMark({ stateDir })).rejects.toThrow("project-mark of the project's state is damaged");
});
