import { z } from 'zod';
import type { ServerContext } from '../context.ts';
import { GoldfishError } from '../core/errors.ts';
import { clip, formatVersion, parseVersion } from '../core/names.ts';
import type { PipelineRun } from '../core/rows.ts';

/** What tools of workspaces share: finding a slot, and what an agent needs to know to go on. */

/** Pipeline runs shown. */
const RECENT = 3;

const recentRun = z.object({
  pipeline_run_id: z.string(),
  version: z.string(),
  state: z.string(),
  reason: z.string(),
  created_at: z.string(),
});

export const contextFields = {
  goal: z.string(),
  version: z.string().describe('Newest version'),
  forked_from: z.string().nullable(),
  recent_runs: z.array(recentRun),
};

export function workspaceContext(ctx: ServerContext, name: string) {
  const { goal, newest, fromWorkspace, fromVersion } = ctx.workspaces.known(name);
  return {
    goal,
    version: formatVersion(newest),
    forked_from: fromWorkspace && fromVersion ? `${fromWorkspace}@${formatVersion(fromVersion)}` : null,
    recent_runs: ctx.runs.listPipelineRuns({ workspace: name, limit: RECENT }).map(toRecentRun),
  };
}

function toRecentRun(run: PipelineRun): z.infer<typeof recentRun> {
  return {
    pipeline_run_id: run.id,
    version: formatVersion(run.version),
    state: run.state,
    reason: run.reason,
    created_at: run.createdAt,
  };
}

/** The slot a person means by its name or by the workspace in it. Errors: SLOT_EMPTY, WORKSPACE_NOT_FOUND. */
export function slotOf(ctx: ServerContext, typed: string): string {
  if (ctx.workspaces.slots().some((slot) => slot.name === typed)) return typed;
  const workspace = ctx.workspaces.get(typed);
  if (workspace.slot !== null) return workspace.slot;
  throw new GoldfishError('SLOT_EMPTY', {
    message: `${workspace.name} is not mounted.`,
    hint: 'Mount it first; without a slot there is nothing to save or to free.',
    fix: { tool: 'mount', arguments: { workspace: workspace.name, reason: `Work on in ${workspace.name}` } },
    details: { workspace: workspace.name },
  });
}

/** `3` is accepted for `v3`; everything else is left as it is. */
export function versionText(typed: string): string {
  return /^\d+$/.test(typed) ? `v${typed}` : typed;
}

/** `v3`, `3` or `@tag`, of one workspace. Errors: INVALID_ARGUMENT, VERSION_NOT_FOUND. */
export function readVersion(
  ctx: ServerContext,
  of: { field: string; typed: string; workspace: string },
): number {
  const { field, typed } = of;
  if (typed.startsWith('@')) {
    return ctx.workspaces.version(`${ctx.workspaces.known(of.workspace).name}${typed}`).version;
  }
  const version = parseVersion(versionText(typed));
  if (version !== undefined) return version;
  throw new GoldfishError('INVALID_ARGUMENT', {
    message: `"${field}" is "${clip(typed)}", which is no version.`,
    hint: 'Versions are written v1, v2, … or @tag; list_versions shows them.',
    details: { field },
  });
}
