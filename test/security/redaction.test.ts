import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

function sources(): { path: string; text: string }[] {
  return ['src', 'runtime', 'sdk'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(ts|js|py)$/.test(name) && !name.includes('node_modules'))
      .map((name) => ({ path: `${folder}/${name}`, text: readFileSync(join(ROOT, folder, name), 'utf8') })),
  );
}

const placesOf = (pattern: RegExp): string[] =>
  sources()
    .filter(({ text }) => pattern.test(text))
    .map(({ path }) => path)
    .sort();

describe('what a secret looks like', () => {
  it('is known in one place only', () => {
    // What is put in its place: by the rule itself, and by the wrapper, which is handed the words.
    expect(placesOf(/(['"])\*\*\*\1/)).toEqual(['runtime/wrapper_log.py', 'src/core/redact.ts']);
    expect(placesOf(/hiddenWords\(/)).toEqual(['src/backends/start-wrapper.ts', 'src/core/redact.ts']);
    const wrapper = readFileSync(join(ROOT, 'runtime/wrapper_log.py'), 'utf8');
    expect(wrapper).not.toMatch(/base64|quote|\.hex\(|json/);
  });

  it('is taken out of everything that is written about a run, in these places and no others', () => {
    expect(placesOf(/\bredact\(/)).toEqual([
      // Refusals, audit and our own logs.
      'src/context.ts',
      'src/core/redact.ts',
      // The sentence about an end.
      'src/runs/end.ts',
      // Metric names and progress.
      'src/runs/ingest-metrics.ts',
    ]);
  });
});
