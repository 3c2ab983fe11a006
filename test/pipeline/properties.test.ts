import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { isGoldfishError } from '../../src/core/errors.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { BUILT_IN_MONITORS } from '../../src/core/monitors.ts';
import { loadPipeline } from '../../src/pipeline/load-pipeline.ts';
import { producerOf } from '../../src/pipeline/pipeline.ts';
import { OUTPUT_TYPES } from '../../src/pipeline/pipeline-schema.ts';
import { resolvePipeline } from '../../src/pipeline/resolve-pipeline.ts';
import { LOOKUPS, memoryFiles } from './memory-files.ts';

const DEFAULTS = {
  backend: 'auto',
  profile: 'default',
  timeoutSeconds: 3600,
  heartbeatTimeoutSeconds: null,
  stopGraceSeconds: 10,
  maxParallel: null,
  maxRestarts: 0,
  launchTimeoutSeconds: 2700,
  capacityWaitSeconds: 600,
  logSyncSeconds: 10,
  monitors: BUILT_IN_MONITORS,
} as const;

type RandomStage = { name: string; command: string[]; inputs: JsonObject; outputs: JsonObject };

/** Stages wired to earlier ones and then shuffled: always a pipeline without problems. */
const validStages: fc.Arbitrary<RandomStage[]> = fc
  .array(
    fc.record({
      outputs: fc.uniqueArray(fc.constantFrom('x', 'y', 'model', 'a-b', '0'), { minLength: 1, maxLength: 3 }),
      types: fc.array(fc.constantFrom(...OUTPUT_TYPES), { minLength: 3, maxLength: 3 }),
      inputs: fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 3 }),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .map((drafts) =>
    drafts.map((draft, index): RandomStage => {
      const inputs: JsonObject = {};
      for (const [at, [stage, signal]] of draft.inputs.entries()) {
        const producer = drafts[stage % Math.max(1, index)];
        if (index === 0 || producer === undefined) continue;
        inputs[`in${at}`] = {
          from_stage: `s${stage % index}`,
          signal: producer.outputs[signal % producer.outputs.length] ?? '',
        };
      }
      const outputs = Object.fromEntries(draft.outputs.map((name, at) => [name, draft.types[at] ?? 'csv']));
      return { name: `s${index}`, command: ['run'], inputs, outputs };
    }),
  )
  .chain((stages) => fc.shuffledSubarray(stages, { minLength: stages.length, maxLength: stages.length }));

function workspace(stages: readonly unknown[], configs: Record<string, string> = {}) {
  return { 'pipeline.yaml': stringify({ stages }), ...configs };
}

describe('any pipeline without mistakes', { timeout: 60_000 }, () => {
  it('loads, and resolves with each stage after those it needs', async () => {
    await fc.assert(
      fc.asyncProperty(validStages, fc.array(fc.nat(), { maxLength: 5 }), async (stages, picks) => {
        const { pipeline, problems } = await loadPipeline({ files: memoryFiles(workspace(stages)) });
        expect(problems).toEqual([]);
        if (pipeline === null) throw new Error('no problems and no pipeline');
        const names = stages.map(({ name }) => name);
        const chosen = picks.length === 0 ? undefined : picks.map((pick) => names[pick % names.length] ?? '');
        const resolved = resolvePipeline({ pipeline, lookups: LOOKUPS, stages: chosen, defaults: DEFAULTS });
        expect(resolved.map(({ name }) => name).toSorted()).toEqual([...new Set(chosen ?? names)].toSorted());
        const done = new Set<string>();
        for (const stage of resolved) {
          for (const need of stage.needs) expect(done).toContain(need);
          for (const input of stage.inputs) {
            const from = producerOf(input);
            const producer = stages.find(({ name }) => name === from?.stage);
            expect(input.type).toBe(producer?.outputs[from?.signal ?? '']);
            expect(input.inCall).toBe(stage.needs.includes(from?.stage ?? ''));
          }
          done.add(stage.name);
        }
      }),
      { numRuns: 100 },
    );
  });
});

/** One edit of a text, as a hand that slips makes it. */
const edit = fc.record({
  at: fc.nat(),
  length: fc.integer({ min: 0, max: 12 }),
  text: fc.oneof(
    fc.constantFrom(
      '',
      ' ',
      '  ',
      '\n',
      '\t',
      ':',
      ': ',
      '- ',
      '{',
      '}',
      '[',
      ']',
      ',',
      '&a ',
      '*a',
      '<<: ',
      '!!str ',
      '"',
      '\0',
    ),
    fc.constantFrom(
      'from_stage',
      'signal',
      'dataset',
      's0',
      'null',
      '1e999',
      'kind: map',
      'compute',
      '__proto__: 1',
    ),
    fc.string({ maxLength: 5 }),
  ),
});

function apply(text: string, edits: readonly { at: number; length: number; text: string }[]): string {
  return edits.reduce((current, { at, length, text: inserted }) => {
    const start = at % (current.length + 1);
    return current.slice(0, start) + inserted + current.slice(start + length);
  }, text);
}

const CONFIG = 'lr: 0.1\ncompute: { memory: 1g, timeout_seconds: 5 }\nenvironment:\n  MODE: fast\n';

describe('a pipeline with any mistake', { timeout: 60_000 }, () => {
  it('gives problems with a place and a hint, and never throws', async () => {
    await fc.assert(
      fc.asyncProperty(
        validStages,
        fc.array(edit, { minLength: 1, maxLength: 6 }),
        fc.array(edit, { maxLength: 4 }),
        async (stages, edits, configEdits) => {
          const files: Record<string, string> = {
            'pipeline.yaml': apply(stringify({ stages }), edits),
            'configs/s0.yaml': apply(CONFIG, configEdits),
          };
          const { pipeline, problems } = await loadPipeline({ files: memoryFiles(files) });
          expect(pipeline === null).toBe(problems.length > 0);
          for (const { file, line, column, message, hint } of problems) {
            const lines = files[file]?.split('\n') ?? [];
            expect(line).toBeGreaterThan(0);
            expect(line).toBeLessThanOrEqual(lines.length);
            expect(column).toBeGreaterThan(0);
            expect(column).toBeLessThanOrEqual((lines[line - 1]?.length ?? 0) + 1);
            expect(message).toMatch(/^\S[^\n]*\.$/);
            expect(hint).toBeTruthy();
          }
          if (pipeline) resolvePipeline({ pipeline, lookups: LOOKUPS, defaults: DEFAULTS });
        },
      ),
      { numRuns: 200 },
    );
  });

  it('made of any values gives problems, and never throws', async () => {
    const key = fc.oneof(
      fc.constantFrom(
        'name',
        'stages',
        'inputs',
        'outputs',
        'command',
        'kind',
        'type',
        'from_stage',
        'signal',
        'cache',
      ),
      fc.string({ maxLength: 3 }),
    );
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 6 },
        fc.constantFrom('a', 'csv', 'dataset', 'python', 'modules.a', 'map', '', null, 0, -1, true, 1.5),
        fc.string({ maxLength: 4 }),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(key, tie('value'), { maxKeys: 5 }),
      ),
    }));
    await fc.assert(
      fc.asyncProperty(value, value, async (root, config) => {
        const files = memoryFiles({
          'pipeline.yaml': stringify(root, { aliasDuplicateObjects: false }) ?? '',
          'configs/a.yaml': stringify(config, { aliasDuplicateObjects: false }) ?? '',
        });
        const { pipeline, problems } = await loadPipeline({ files });
        expect(pipeline === null).toBe(problems.length > 0);
      }),
      { numRuns: 200 },
    );
  });
});

describe('any config_override', { timeout: 60_000 }, () => {
  it('resolves, or is refused as an argument', async () => {
    const { pipeline } = await loadPipeline({
      files: memoryFiles(workspace([{ name: 'a', command: ['run'] }], { 'configs/a.yaml': CONFIG })),
    });
    if (pipeline === null) throw new Error('the pipeline must load');
    const reserved = fc.record(
      { compute: fc.jsonValue(), environment: fc.jsonValue(), lr: fc.jsonValue(), metrics: fc.jsonValue() },
      { requiredKeys: [] },
    );
    const override = fc.oneof(
      fc.record({ a: fc.oneof(reserved, fc.jsonValue()) }),
      fc.dictionary(fc.string(), fc.jsonValue()),
    );
    await fc.assert(
      fc.property(override, (configOverride) => {
        try {
          const [stage] = resolvePipeline({
            pipeline,
            lookups: LOOKUPS,
            defaults: DEFAULTS,
            configOverride: JSON.parse(JSON.stringify(configOverride)),
          });
          expect(Object.keys(stage?.config ?? {})).not.toContain('compute');
        } catch (error) {
          if (!isGoldfishError(error)) throw error;
          expect(error.code).toBe('INVALID_ARGUMENT');
          expect(error.hint).toBeTruthy();
        }
      }),
      { numRuns: 200 },
    );
  });
});
