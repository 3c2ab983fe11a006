import { z } from 'zod';
import type { ServerContext } from '../context.ts';
import { GoldfishError } from '../core/errors.ts';
import { formatVersion } from '../core/names.ts';
import type { TagTarget } from '../workspaces/tagging.ts';
import { defineTool } from './define-tool.ts';
import { answer, nextCall, reason, reference, text } from './fields.ts';
import { type Target, targetOf } from './targets.ts';
import { callText, lines } from './text.ts';

export const tag = defineTool({
  name: 'tag',
  title: 'Tag a version or record',
  description:
    'Names a version, or the record of a run or checkpoint. The tag is unique in its workspace, stands for the version as @tag wherever a version is accepted, and keeps it from being pruned.',
  toolset: 'default',
  annotations: { readOnly: false, destructive: true, idempotent: true, openWorld: false },
  input: z.strictObject({
    ref: reference.describe('ws@v3, ws (newest), record, snapshot or run'),
    tag: text(64).min(1).describe('Such as best or submitted'),
    remove: z.boolean().optional().describe('true: take the tag away'),
    reason: reason.optional(),
  }),
  output: answer({
    workspace: z.string(),
    tag: z.string(),
    ref: z.string().describe('What it names, or named'),
    version: z.string(),
    record_id: z.string().nullable(),
    changed: z.boolean().describe('false: it had the tag already'),
    removed: z.boolean(),
    next: nextCall(),
  }),
  audit: (input) => ({
    workspace: input.ref,
    reason: input.reason ?? null,
    ...(input.reason === undefined ? {} : { reasonField: 'reason' as const }),
  }),
  handler: (ctx, input) => (input.remove ? remove(ctx, input) : add(ctx, input)),
  render: (output) => {
    const names = `${output.ref}${output.record_id ? ` (${output.workspace}@${output.version})` : ''}`;
    if (output.removed) return `${names} is no longer tagged ${output.tag}.`;
    return lines(
      output.changed ? `@${output.tag} is ${names}.` : `@${output.tag} was ${names} before.`,
      output.next && `next: ${callText(output.next)}`,
    );
  },
});

type Input = { ref: string; tag: string };

/** `@best` is what a tag is written as elsewhere. */
function nameOf(input: Input): string {
  return input.tag.replace(/^@/, '');
}

function add(ctx: ServerContext, input: Input) {
  const target = targetOf(ctx, input.ref);
  const name = nameOf(input);
  const { created } = ctx.workspaces.tag({ tag: name, target: toTagTarget(target) });
  return {
    ...shown(target, name),
    changed: created,
    removed: false,
    next: { tool: 'list_versions', arguments: { workspace: target.workspace } },
  };
}

function remove(ctx: ServerContext, input: Input) {
  const name = nameOf(input);
  const isWorkspace = !input.ref.includes('@') && isKnown(ctx, input.ref);
  const target = targetOf(ctx, input.ref);
  const gone = ctx.workspaces.untag({
    tag: name,
    workspace: target.workspace,
    // A workspace alone, or a tag of it, means whatever has the tag.
    ...(isWorkspace || input.ref.endsWith(`@${name}`) ? {} : { target: toTagTarget(target) }),
  });
  const { workspace, leadsTo: version, recordId } = gone;
  const ref = recordId ?? `${workspace}@${formatVersion(version)}`;
  return { ...shown({ workspace, version, recordId, ref }, name), changed: true, removed: true };
}

function isKnown(ctx: ServerContext, typed: string): boolean {
  try {
    ctx.workspaces.get(typed);
    return true;
  } catch (error) {
    if (error instanceof GoldfishError) return false;
    throw error;
  }
}

function toTagTarget({ workspace, version, recordId }: Target): TagTarget {
  return recordId === null ? { workspace, version } : { workspace, recordId };
}

function shown(target: Target, name: string) {
  return {
    workspace: target.workspace,
    tag: name,
    ref: target.ref,
    version: formatVersion(target.version),
    record_id: target.recordId,
  };
}
