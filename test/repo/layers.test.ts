import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise, type ICruiseResult, type IForbiddenRuleType } from 'dependency-cruiser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

type CruiserConfig = { forbidden: IForbiddenRuleType[]; options: object };
const { default: config }: { default: CruiserConfig } = await import(
  new URL('../../.dependency-cruiser.mjs', import.meta.url).href
);

/** It takes two seconds on a machine at rest. */
const CRUISE_LIMIT_MS = 120_000;

/** For each rule one file that breaks it, below src/; the second text is the file's whole content. */
const PLANTED: Record<string, Record<string, string>> = {
  'floor-0-imports-nothing-above': { 'core/planted.ts': `import '../store/database.ts';` },
  'floor-1-imports-nothing-above': {
    'pipeline/planted.ts': `export type { RunBackend } from '../backends/port.ts';`,
  },
  'floor-2-imports-nothing-above': {
    'workspaces/planted.ts': `import type { Planted } from '../runs/planted-target.ts'; export type P = Planted;`,
    'runs/planted-target.ts': `export type Planted = string;`,
  },
  'floor-3-imports-nothing-above': {
    'runs/planted.ts': `import '../sweeps/planted-target.ts';`,
    'sweeps/planted-target.ts': `export const x = 1;`,
  },
  'floor-4-imports-nothing-above': {
    'notifications/planted.ts': `import '../tools/planted-target.ts';`,
    'tools/planted-target.ts': `export const x = 1;`,
  },
  'floor-5-imports-nothing-above': { 'context.ts': `import './supervisor/planted-target.ts';` },
  'floor-6-imports-nothing-above': {
    'supervisor/planted.ts': `export const late = () => import('../mcp/planted-target.ts');`,
    'supervisor/planted-target.ts': `export const x = 1;`,
    'mcp/planted-target.ts': `export const x = 1;`,
  },
  'floor-7-imports-nothing-above': {
    'mcp/planted.ts': `import '../cli/planted-target.ts';`,
    'cli/planted-target.ts': `export const x = 1;`,
  },
  'only-its-room-imports-modelcontextprotocol-sdk': {
    'tools/planted.ts': `import '@modelcontextprotocol/sdk/server/index.js';`,
  },
  'only-its-room-imports-better-sqlite3': { 'runs/planted-sql.ts': `import 'better-sqlite3';` },
  'only-its-room-imports-simple-git': { 'data/planted.ts': `import 'simple-git';` },
  'only-its-room-imports-commander': { 'web/planted.ts': `import 'commander';` },
  'only-its-room-imports-dockerode': { 'runs/planted-engine.ts': `import 'dockerode';` },
  'only-its-room-imports-tar-stream': { 'data/planted-tar.ts': `import 'tar-stream';` },
  'only-its-room-imports-google-cloud-compute': {
    'data/planted-machine.ts': `import '@google-cloud/compute';`,
  },
  'only-its-room-imports-google-cloud-storage': {
    'data/planted-bucket.ts': `import '@google-cloud/storage';`,
  },
  'only-its-room-imports-google-auth-library': { 'runs/planted-auth.ts': `import 'google-auth-library';` },
  'core-is-pure': { 'core/planted-files.ts': `import 'node:fs';` },
  'only-the-context-imports-adapters': {
    'supervisor/planted-adapter.ts': `import '../backends/planted/adapter.ts';`,
    'backends/planted/adapter.ts': `export const x = 1;`,
  },
  'adapters-do-not-know-each-other': {
    'backends/planted-other/adapter.ts': `import '../planted/adapter.ts';`,
  },
  'no-room-without-a-floor': { 'attic/planted.ts': `import '../core/errors.ts';` },
  'no-cycles': {
    'core/planted-one.ts': `import './planted-two.ts';`,
    'core/planted-two.ts': `import './planted-one.ts';`,
  },
  'no-unresolvable': { 'core/planted-typo.ts': `import './planted-missing.ts';` },
  'no-development-dependency-in-src': { 'config/planted.ts': `import 'fast-check';` },
  'src-stands-alone': { 'config/planted-test.ts': `import '../../test/planted-target.ts';` },
};

async function cruiseSource(baseDir: string): Promise<ICruiseResult> {
  const { forbidden, options } = config;
  const result = await cruise(['src'], { ...options, baseDir, validate: true, ruleSet: { forbidden } });
  if (typeof result.output === 'string')
    throw new Error('a cruise without a reporter answers with an object');
  return result.output;
}

describe('the source as it stands', () => {
  let result: ICruiseResult;

  beforeAll(async () => {
    result = await cruiseSource(ROOT);
  }, CRUISE_LIMIT_MS);

  it('is seen whole and keeps to its floors', async () => {
    const { modules, summary } = result;
    const files = (await readdir(join(ROOT, 'src'), { recursive: true })).filter((file) =>
      file.endsWith('.ts'),
    );
    const seen = modules.map((module) => module.source).filter((source) => source.startsWith('src/'));
    // A parser that reads no TypeScript finds no modules, hence no violations.
    expect(files.length).toBeGreaterThan(20);
    expect(seen.sort()).toEqual(files.map((file) => `src/${file}`).sort());
    expect(summary.violations.map(({ from, to, rule }) => `${rule.name}: ${from} → ${to}`)).toEqual([]);
  });

  it('imports nothing in a form that the check does not see', async () => {
    const { modules } = result;
    const unseen: string[] = [];
    for (const { source, dependencies } of modules.filter((module) => module.source.startsWith('src/'))) {
      const seen = dependencies.map((dependency) => dependency.module);
      const written = (await readFile(join(ROOT, source), 'utf8')).matchAll(
        /(?:from|import)[\s(]*'(\.[^']+)'/g,
      );
      for (const [, specifier = ''] of written) {
        // Such as `import('../x.ts').Type` where a type stands.
        if (!seen.includes(specifier)) unseen.push(`${source}: ${specifier}`);
      }
    }
    expect(unseen).toEqual([]);
  });
});

describe('planted violations', () => {
  let folder: string;
  let found: string[];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'goldfish-layers-'));
    await cp(join(ROOT, 'src'), join(folder, 'src'), { recursive: true });
    await cp(join(ROOT, 'package.json'), join(folder, 'package.json'));
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const files = Object.values(PLANTED).flatMap((planted) => Object.entries(planted));
    for (const [path, content] of [...files, ['../test/planted-target.ts', 'export const x = 1;'] as const]) {
      const file = join(folder, 'src', path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, `${content}\n`);
    }
    const { summary } = await cruiseSource(folder);
    found = summary.violations.map(({ from, rule }) => `${rule.name}: ${from}`);
  }, CRUISE_LIMIT_MS);

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('exist for every rule', () => {
    expect(Object.keys(PLANTED).sort()).toEqual(config.forbidden.map((rule) => rule.name).sort());
  });

  it.each(Object.entries(PLANTED))('of %s are found', (rule, files) => {
    expect(found).toContain(`${rule}: src/${Object.keys(files)[0]}`);
  });
});
