import type { z } from 'zod';
import type { ServerContext } from '../context.ts';
import type { Session } from './session.ts';
import { type TextKit, textKit } from './text.ts';
import type { Toolset } from './toolsets.ts';

/** What a call brings along beside its arguments; the faces (MCP, command line, tests) fill it. */
export type CallContext = {
  /** Aborted when the caller cancels or goes away. */
  signal: AbortSignal;
  /** `fraction` is 0..1; harmless where the caller did not ask for progress. */
  progress(fraction: number, message: string): void;
  /** Who calls, for the audit: `mcp:claude-code`, `cli:anna`. */
  actor: string;
};

/** What a client may rely on; MCP's hints under our names. */
export type Annotations = {
  readOnly: boolean;
  destructive: boolean;
  idempotent: boolean;
  openWorld: boolean;
};

/**
 * What the audit row of a call says. `workspace` is what the caller typed for it: a workspace, a slot or a run.
 * `reason` is checked against audit.min_reason_length where it stands under `reason`.
 */
export type AuditText = { workspace: string | null; reason: string | null; reasonField?: 'reason' };

type Shape = z.ZodRawShape;

type CommonSpec<I extends Shape, O extends Shape> = {
  name: string;
  title: string;
  /** At most 60 words: when to use it and what comes back. */
  description: string;
  /** The smallest toolset that has it. */
  toolset: Toolset;
  annotations: Annotations;
  input: z.ZodObject<I, z.core.$strict>;
  /** An object of optional fields, so that `{error}` fits it too. */
  output: z.ZodObject<O>;
  /** Absent for tools that change nothing; null for a call that changes nothing (a dry run). */
  audit?: (input: z.output<z.ZodObject<I, z.core.$strict>>) => AuditText | null;
  /** The text block: short and readable, not a copy of the structure. */
  render(output: z.output<z.ZodObject<O>>, kit: TextKit): string;
};

type Input<I extends Shape> = z.output<z.ZodObject<I, z.core.$strict>>;
type Output<O extends Shape> = z.input<z.ZodObject<O>>;

export type ToolSpec<I extends Shape, O extends Shape> = CommonSpec<I, O> & {
  handler(ctx: ServerContext, input: Input<I>, call: CallContext): Promise<Output<O>> | Output<O>;
};

/** For the few tools that work where there is no project, or one that cannot be opened. */
export type OpenToolSpec<I extends Shape, O extends Shape> = CommonSpec<I, O> & {
  handler(session: Session, input: Input<I>, call: CallContext): Promise<Output<O>>;
};

export type ToolAnswer = { structured: Record<string, unknown>; render(structured: unknown): string };

/** A call whose arguments were accepted. */
export type PreparedCall = {
  audit: AuditText | null;
  run(session: Session, call: CallContext): Promise<ToolAnswer>;
};

export type ArgumentIssue = z.core.$ZodIssue;

/** A tool as data, its types closed over, so that all of them fit one list. */
export type Tool = {
  name: string;
  title: string;
  description: string;
  toolset: Toolset;
  annotations: Annotations;
  input: z.ZodObject;
  output: z.ZodObject;
  prepare(args: unknown): { call: PreparedCall } | { issues: ArgumentIssue[] };
};

/** A tool of a project: the handler is given the opened context. */
export function defineTool<I extends Shape, O extends Shape>(spec: ToolSpec<I, O>): Tool {
  return defineOpenTool({
    ...spec,
    handler: async (session, input, call) => spec.handler(await session.context(), input, call),
  });
}

export function defineOpenTool<I extends Shape, O extends Shape>(spec: OpenToolSpec<I, O>): Tool {
  const { name, title, description, toolset, annotations, input, output } = spec;
  return {
    name,
    title,
    description,
    toolset,
    annotations,
    input,
    output,
    prepare: (args) => {
      const parsed = input.safeParse(args);
      if (!parsed.success) return { issues: parsed.error.issues };
      const run = async (session: Session, call: CallContext): Promise<ToolAnswer> => {
        // Parsing the answer too: a client throws on one that does not fit the schema it was shown.
        const structured = output.parse(await spec.handler(session, parsed.data, call));
        const kit = textKit(session.ids);
        return { structured, render: (value) => spec.render(output.parse(value), kit) };
      };
      return { call: { audit: spec.audit?.(parsed.data) ?? null, run } };
    },
  };
}
