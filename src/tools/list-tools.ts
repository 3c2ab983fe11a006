import { z } from 'zod';
import type { Tool } from './define-tool.ts';

/** One entry of MCP's tools/list, as plain JSON. */
export type ListedTool = {
  name: string;
  title: string;
  description: string;
  inputSchema: { type: 'object'; [key: string]: unknown };
  outputSchema: { type: 'object'; [key: string]: unknown };
  annotations: {
    title: string;
    readOnlyHint: boolean;
    destructiveHint: boolean;
    idempotentHint: boolean;
    openWorldHint: boolean;
  };
};

/** Limits that the server checks in any case; in a listing they cost tokens in every conversation. */
const UNLISTED = ['pattern', 'maxLength', 'minLength', 'maxItems', 'propertyNames', 'format'];

export function listTool(tool: Tool): ListedTool {
  const { title, annotations } = tool;
  return {
    name: tool.name,
    title,
    description: tool.description,
    inputSchema: jsonSchema(tool.input),
    outputSchema: jsonSchema(tool.output),
    annotations: {
      title,
      readOnlyHint: annotations.readOnly,
      destructiveHint: annotations.destructive,
      idempotentHint: annotations.idempotent,
      openWorldHint: annotations.openWorld,
    },
  };
}

function jsonSchema(schema: z.ZodObject): { type: 'object'; [key: string]: unknown } {
  const json = z.toJSONSchema(schema, {
    override: ({ jsonSchema: node }) => {
      for (const key of UNLISTED) Reflect.deleteProperty(node, key);
      // The bounds every integer has.
      if (node.maximum === Number.MAX_SAFE_INTEGER) delete node.maximum;
      if (node.minimum === Number.MIN_SAFE_INTEGER) delete node.minimum;
    },
  });
  const { $schema: _, ...rest } = json;
  return { ...rest, type: 'object' };
}
