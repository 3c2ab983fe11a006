import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findProject } from '../../src/config/find-project.ts';

let top: string;
let project: string;
let deep: string;
beforeEach(async () => {
  top = await realpath(await mkdtemp(join(tmpdir(), 'goldfish-find-')));
  project = join(top, 'my project');
  deep = join(project, 'workspaces', 'w1');
  await mkdir(deep, { recursive: true });
  await writeFile(join(project, 'goldfish.yaml'), 'project_name: p\n');
});
afterEach(() => rm(top, { recursive: true }));

describe('finding the project', () => {
  it('takes the nearest folder upward with a goldfish.yaml', async () => {
    expect(await findProject({ start: deep })).toBe(project);
    expect(await findProject({ start: project })).toBe(project);
  });

  it('finds none outside', async () => {
    expect(await findProject({ start: top })).toBeUndefined();
    expect(await findProject({ start: join(top, 'not', 'there') })).toBeUndefined();
  });

  it('is not misled by a folder of that name', async () => {
    await mkdir(join(deep, 'goldfish.yaml'));
    expect(await findProject({ start: deep })).toBe(project);
  });

  it('takes a project that is named, before GOLDFISH_PROJECT, before the search', async () => {
    const other = join(top, 'other');
    await mkdir(other);
    await writeFile(join(other, 'goldfish.yaml'), 'project_name: o\n');
    const environment = { GOLDFISH_PROJECT: other };
    expect(await findProject({ start: deep, environment })).toBe(other);
    expect(await findProject({ start: deep, environment, project: '../..' })).toBe(project);
    expect(await findProject({ start: deep, environment: { GOLDFISH_PROJECT: '' } })).toBe(project);
  });

  it('does not search upward from a folder that is named', async () => {
    expect(await findProject({ start: top, project: deep })).toBeUndefined();
  });
});
