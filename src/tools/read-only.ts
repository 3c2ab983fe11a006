import { GoldfishError } from '../core/errors.ts';
import { clip } from '../core/names.ts';
import type { Tool } from './define-tool.ts';

/** Only tools that change nothing. */
export function readingTools(tools: readonly Tool[]): Tool[] {
  return tools.filter((tool) => tool.annotations.readOnly);
}

/**
 * What a call of `name` may choose from where nothing may be changed. Another tool is refused before its arguments are
 * looked at, so that such a call leaves no trace, and is not mistaken for a misspelt one.
 */
export function toolsForReading(tools: readonly Tool[], name: unknown): Tool[] {
  const readers = readingTools(tools);
  const called = tools.find((tool) => tool.name === name);
  if (called === undefined || called.annotations.readOnly) return readers;
  const prepare = (): never => {
    throw new GoldfishError('NOT_SUPPORTED', {
      message: `This server is read-only, and ${clip(called.name)} changes something.`,
      hint: 'Ask whoever started it to serve without --read-only and mcp.read_only; the details list what can be called.',
      details: { tool: called.name, allowed: readers.map((tool) => tool.name) },
    });
  };
  return [...readers, { ...called, prepare }];
}
