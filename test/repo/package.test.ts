import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { assetPath } from '../../src/core/assets.ts';
import { GOLDFISH_VERSION } from '../../src/core/version.ts';

type Manifest = {
  version: string;
  engines: { node: string };
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
};
const manifest = JSON.parse(readFileSync(assetPath('package.json'), 'utf8')) as Manifest;
const lock = JSON.parse(readFileSync(assetPath('package-lock.json'), 'utf8')) as {
  packages: Record<string, Partial<Manifest> & { optionalDependencies?: Record<string, string> }>;
};

it('knows its own version', () => {
  expect(GOLDFISH_VERSION).toBe(manifest.version);
});

it('asks for the Node that the launcher checks for', () => {
  const [, major, minor] =
    /NEEDED = \[(\d+), (\d+)\]/.exec(readFileSync(assetPath('bin/goldfish.js'), 'utf8')) ?? [];
  expect(manifest.engines.node).toBe(`>=${major}.${minor}`);
});

it('pins every dependency exactly, as the lock file has it', () => {
  const wanted = { ...manifest.dependencies, ...manifest.devDependencies };
  for (const version of Object.values(wanted)) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  const locked = { ...lock.packages['']?.dependencies, ...lock.packages['']?.devDependencies };
  expect(locked).toEqual(wanted);
});

it('locks every platform package that a dependency may choose from, without which npm ci refuses', () => {
  const missing = Object.entries(lock.packages).flatMap(([path, entry]) =>
    Object.keys(entry.optionalDependencies ?? {})
      .filter(
        (name) =>
          !(`node_modules/${name}` in lock.packages || `${path}/node_modules/${name}` in lock.packages),
      )
      .map((name) => `${name} of ${path}`),
  );
  expect(missing).toEqual([]);
});
