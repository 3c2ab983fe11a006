import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configKeys } from '../../src/config/schema.ts';
import { readYaml } from '../../src/config/yaml-file.ts';
import type { YamlNode } from '../../src/config/yaml-node.ts';
import { exampleConfig } from '../support/example-config.ts';
import { COMPUTE_EFFECTS } from './effects/compute.ts';
import { GCE_EFFECTS } from './effects/gce.ts';
import { createKit, type Kit } from './effects/kit.ts';
import { MONITOR_EFFECTS } from './effects/monitors.ts';
import { PROJECT_EFFECTS } from './effects/project.ts';
import { STORAGE_EFFECTS } from './effects/storage.ts';

/** Every key of goldfish.yaml with what it does. Each entry is the test of its key. */
const EFFECTS = Object.entries({
  ...PROJECT_EFFECTS,
  ...STORAGE_EFFECTS,
  ...COMPUTE_EFFECTS,
  ...MONITOR_EFFECTS,
  ...GCE_EFFECTS,
});

let kit: Kit;
beforeEach(() => {
  kit = createKit();
});
afterEach(() => kit.dispose());

/** Keys that hold a value, with `*` for names of the example's own. */
function keysOf(node: YamlNode, path: readonly string[] = []): string[] {
  if (node.children.size === 0 || Array.isArray(node.value)) return [path.join('.')];
  return [...node.children].flatMap(([key, child]) =>
    keysOf(child, [...path, /^my-(profile|machine)$/.test(`${key}`) ? '*' : `${key}`]),
  );
}

describe('the key', () => {
  it.each(EFFECTS.map(([key, { title, prove }]) => [`${key} ${title}`, prove] as const))(
    '%s',
    { timeout: 60_000 },
    async (_, prove) => {
      await prove(kit);
    },
  );
});

describe('the keys of goldfish.example.yaml', () => {
  it('are those that are read, and each has one test of its effect', async () => {
    const { whole } = await exampleConfig();
    const { root } = readYaml('goldfish.example.yaml', whole);
    const inExample = root === null ? [] : keysOf(root);
    expect(inExample.toSorted()).toEqual(configKeys().toSorted());
    expect(EFFECTS.map(([key]) => key).toSorted()).toEqual(inExample.toSorted());
    expect(EFFECTS).toHaveLength(inExample.length);
  });
});
