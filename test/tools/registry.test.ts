import { describe, expect, it } from 'vitest';
import type { Tool } from '../../src/tools/define-tool.ts';
import { listTool } from '../../src/tools/list-tools.ts';
import { ALL_TOOLS } from '../../src/tools/registry.ts';
import { estimateTokens } from '../../src/tools/tokens.ts';
import { isOffered, TOOLSETS } from '../../src/tools/toolsets.ts';

/** What a conversation pays for a tool: name, description and input schema. */
function costOf(tool: Tool): number {
  const { name, description, inputSchema } = listTool(tool);
  return estimateTokens(JSON.stringify({ name, description, inputSchema }));
}

describe('every tool', () => {
  it.each(ALL_TOOLS.map((tool) => [tool.name, tool] as const))(
    '%s keeps the rules of the listing',
    (name, tool) => {
      expect(name).toMatch(/^[a-z][a-z_]{1,29}$/);
      expect(tool.title).not.toBe('');
      expect(tool.description.split(/\s+/).length).toBeLessThanOrEqual(60);
      expect(tool.description.length).toBeLessThanOrEqual(1_000);
      expect(costOf(tool)).toBeLessThanOrEqual(name === 'run' ? 750 : 500);
      const { inputSchema, outputSchema, annotations } = listTool(tool);
      for (const schema of [inputSchema, outputSchema]) {
        expect(Object.keys(schema)).not.toEqual(
          expect.arrayContaining([expect.stringMatching(/^(any|one|all)Of$/)]),
        );
        expect(schema.type).toBe('object');
      }
      expect(inputSchema['additionalProperties']).toBe(false);
      // `{error}` alone must fit.
      expect(outputSchema['required']).toBeUndefined();
      expect(outputSchema['properties']).toHaveProperty('error');
      expect(annotations.readOnlyHint && annotations.destructiveHint).toBe(false);
      // Read otherwise in each of the two dialects that clients check answers by.
      expect(JSON.stringify([inputSchema, outputSchema])).not.toContain('prefixItems');
    },
  );

  it.each(ALL_TOOLS.map((tool) => [tool.name, tool] as const))(
    '%s describes each of its arguments',
    (_name, tool) => {
      const { properties = {} } = listTool(tool).inputSchema as {
        properties?: Record<string, { description?: string }>;
      };
      const undescribed = Object.entries(properties).filter(([, schema]) => !schema.description);
      expect(undescribed.map(([key]) => key)).toEqual([]);
    },
  );
});

describe('the list of tools', () => {
  it('has the names and the toolsets that are promised', () => {
    const listed = TOOLSETS.map((toolset) => [
      toolset,
      ALL_TOOLS.filter((tool) => tool.toolset === toolset).map((tool) => tool.name),
    ]);
    expect(Object.fromEntries(listed)).toEqual({
      core: [
        'initialize_project',
        'status',
        'create_workspace',
        'inspect_workspace',
        'mount',
        'hibernate',
        'checkpoint',
        'diff',
        'rollback',
        'validate',
        'run',
        'list_runs',
        'inspect_run',
        'logs',
        'wait',
        'cancel',
        'compare',
        'history',
      ],
      default: [
        'list_workspaces',
        'list_versions',
        'tag',
        'retry',
        'lineage',
        'register_source',
        'list_sources',
        'promote_artifact',
        'warm_pool_status',
        'warm_pool_cleanup',
      ],
      all: [
        'delete_workspace',
        'prune_versions',
        'metrics',
        'log_thought',
        'audit_log',
        'inspect_source',
        'delete_source',
        'list_profiles',
        'backup',
        'reload_config',
      ],
    });
  });

  it('has each name once', () => {
    expect(new Set(ALL_TOOLS.map((tool) => tool.name)).size).toBe(ALL_TOOLS.length);
  });

  it.each([
    ['core', 4_000],
    ['default', 6_000],
    ['all', 8_500],
  ] as const)('costs a conversation with the toolset %s at most %i tokens', (toolset, budget) => {
    const cost = ALL_TOOLS.filter((tool) => isOffered(tool.toolset, [toolset])).reduce(
      (sum, tool) => sum + costOf(tool),
      0,
    );
    expect(cost).toBeLessThanOrEqual(budget);
  });
});
