import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { GoldfishError } from '../../src/core/errors.ts';
import { acceptArguments } from '../../src/tools/arguments.ts';
import { defineOpenTool } from '../../src/tools/define-tool.ts';
import { answer, limit, newName, reason } from '../../src/tools/fields.ts';

const tool = defineOpenTool({
  name: 'paint',
  title: 'Paint',
  description: 'Paints.',
  toolset: 'core',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    workspace: newName,
    reason,
    color: z.enum(['red', 'green']).optional(),
    limit,
    coats: z
      .array(z.strictObject({ thickness: z.number() }))
      .max(3)
      .optional(),
    override: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
  }),
  output: answer({ done: z.boolean() }),
  handler: async () => ({ done: true }),
  render: () => 'done',
});

const good = { workspace: 'baseline', reason: 'because it is grey' };

function refusal(args: unknown): GoldfishError {
  try {
    acceptArguments(tool, args);
  } catch (error) {
    if (error instanceof GoldfishError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('arguments of a call', () => {
  it('are accepted when they fit', () => {
    expect(acceptArguments(tool, good).audit).toBeNull();
  });

  it('name an unknown argument, the nearest known one, and offer the mended call', () => {
    const error = refusal({ workspce: 'baseline', reason: good.reason });
    expect(error.code).toBe('INVALID_ARGUMENT');
    expect(error.message).toBe(
      'paint: "workspce" is not a known argument (did you mean "workspace"?) (and 1 more).',
    );
    expect(error.hint).toBe('Arguments of paint: workspace, reason, [color], [limit], [coats], [override].');
    expect(error.details).toEqual({
      problems: [
        {
          field: 'workspce',
          message: '"workspce" is not a known argument (did you mean "workspace"?)',
          allowed: ['workspace', 'reason', 'color', 'limit', 'coats', 'override'],
          did_you_mean: 'workspace',
        },
        { field: 'workspace', message: '"workspace" is required' },
      ],
    });
    expect(error.fix).toEqual({ tool: 'paint', arguments: good });
  });

  it('say every problem at once', () => {
    const error = refusal({
      workspace: 5,
      reason: 'x',
      color: 'gren',
      limit: 0,
      coats: [{}],
      override: { a: 1 },
    });
    expect(error.details['problems']).toEqual([
      { field: 'workspace', message: '"workspace" must be a string, not 5' },
      {
        field: 'color',
        message: '"color" is "gren"; allowed are red, green',
        allowed: ['red', 'green'],
        did_you_mean: 'green',
      },
      { field: 'limit', message: '"limit" must be at least 1' },
      { field: 'coats.0.thickness', message: '"coats.0.thickness" is required' },
      { field: 'override.a', message: '"override.a" must be an object, not 1' },
    ]);
    expect(error.fix).toBeUndefined();
  });

  it('offer the nearest allowed value as a mended call', () => {
    expect(refusal({ ...good, color: 'gren' }).fix).toEqual({
      tool: 'paint',
      arguments: { ...good, color: 'green' },
    });
  });

  it.each([
    ['a list', []],
    ['a text', 'workspace'],
    ['a number', 7],
  ])('are refused when they are %s instead of an object', (what, args) => {
    expect(refusal(args).message).toContain(
      `the arguments must be an object, not ${what === 'a list' ? what : ''}`,
    );
  });

  it.each([
    ['a null byte', 'because\0of this reason'],
    ['an escape character', 'because \u001b[31m of this reason'],
    ['half a surrogate pair', 'because \ud800 of this reason'],
  ])('are refused with %s in a text', (_what, text) => {
    expect(refusal({ ...good, reason: text }).message).toBe(
      'paint: "reason" contains characters that are no text.',
    );
  });

  it.each(['../../x', 'a b', '-rf', '.git', 'ä', '', 'a/b', 'x'.repeat(65)])('refuse the name %j', (name) => {
    expect(refusal({ ...good, workspace: name }).code).toBe('INVALID_ARGUMENT');
  });

  it('are refused before any work when they are larger than 256 KB together', () => {
    const error = refusal({ ...good, override: { a: { b: 'x'.repeat(300_000) } } });
    expect(error.message).toMatch(
      /^paint: the arguments are 3000\d\d bytes long; at most 262144 are accepted\.$/,
    );
  });

  it('are refused when they are nested deeper than the stack', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 100_000; i += 1) deep = [deep];
    expect(refusal({ ...good, override: { a: { deep } } }).message).toBe(
      'paint: the arguments are nested deeper than 32 levels.',
    );
  });

  it.each([
    ['at the top', '{"__proto__": 1, "workspace": "a", "reason": "because it is grey"}'],
    [
      'below',
      '{"workspace": "a", "reason": "because it is grey", "override": {"a": {"__proto__": {"b": 1}}}}',
    ],
  ])('are refused with a key that a parser would drop, %s', (_where, json) => {
    expect(refusal(JSON.parse(json)).message).toBe('paint: "__proto__" cannot be a key.');
  });

  it('do not echo a huge unknown name or list thousands of problems', () => {
    const many = Object.fromEntries(Array.from({ length: 3_000 }, (_, i) => [`${'k'.repeat(40)}${i}`, 1]));
    const error = refusal({ ...good, ...many });
    expect((error.details['problems'] as unknown[]).length).toBe(20);
  });
});
