import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openContext } from '../../src/context.ts';
import { examine } from '../../src/doctor/checks.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'goldfish-doctor-'));
  writeFileSync(join(root, 'goldfish.yaml'), 'project_name: test\nprocess: { python: no-such-python }\n');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

it('says of every component whether it is there, and what mends what is not', async () => {
  const context = await openContext({ root });
  const findings = await examine(context);
  await context.close();
  const by = new Map(findings.map((finding) => [finding.component, finding]));
  expect(by.get('node')?.state).toBe('ok');
  expect(by.get('version store')).toMatchObject({ state: 'ok', detail: expect.stringMatching(/^git \d/) });
  expect(by.get('database')).toMatchObject({ state: 'ok', fix: null });
  expect(by.get('disk')).toMatchObject({ state: 'ok', detail: expect.stringMatching(/GiB free$/) });
  expect(by.get('backend process')).toMatchObject({
    state: 'missing',
    detail: 'no-such-python was not found.',
    fix: 'Install Python 3.8 or newer, or set process.python.',
  });
  expect(by.get('supervisor')).toMatchObject({
    state: 'ok',
    detail: 'none is needed: nothing is open',
  });
});

it('finds rows that refer to nothing, and goes on with the other components', async () => {
  const context = await openContext({ root });
  context.db.prepare('PRAGMA foreign_keys = OFF').run();
  context.db.prepare("INSERT INTO slots (name, workspace_name) VALUES ('w9', 'nobody')").run();
  const findings = await examine(context);
  await context.close();
  expect(findings.find((finding) => finding.component === 'database')).toMatchObject({
    state: 'broken',
    detail: 'rows refer to others that are not there',
  });
  expect(findings.map((finding) => finding.component)).toContain('supervisor');
});
