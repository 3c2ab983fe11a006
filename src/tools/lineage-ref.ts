import type { ServerContext } from '../context.ts';
import { GoldfishError, isGoldfishError } from '../core/errors.ts';
import { clip, parseVersion } from '../core/names.ts';
import { requireSource } from '../data/delete-source.ts';
import type { LineageRef } from '../data/lineage-steps.ts';
import { outputsOfRun } from '../store/signals.ts';
import { newestSource, recordedSource } from '../store/sources.ts';

type Ctx = Pick<ServerContext, 'db' | 'runs' | 'workspaces'>;

/**
 * Where a graph starts: a run, a pipeline run (all its runs), `run.signal`, `source@v2`, a workspace or `ws@v3`.
 * `source:` and `version:` in front say which is meant where a source and a workspace share a name.
 * Errors: RUN_NOT_FOUND, SOURCE_NOT_FOUND, WORKSPACE_NOT_FOUND, VERSION_NOT_FOUND, AMBIGUOUS_ID, INVALID_ARGUMENT.
 */
export function readLineageRef(ctx: Ctx, typed: string): LineageRef[] {
  const [, prefix, plain = typed] = /^(source|version):(.+)$/.exec(typed) ?? [];
  if (prefix === 'source') return [sourceRef(ctx, plain) ?? missingSource(ctx, plain)];
  if (prefix === 'version') return [versionRef(ctx, plain)];
  if (/^(stage|prun)-[a-f0-9]{6,}(\.|$)/.test(typed)) return runRefs(ctx, typed);
  const source = sourceRef(ctx, typed);
  const isVersion = isWorkspace(ctx, typed);
  if (!source)
    return [isVersion || !isSource(ctx, typed) ? versionRef(ctx, typed) : missingSource(ctx, typed)];
  if (!isVersion) return [source];
  throw new GoldfishError('AMBIGUOUS_ID', {
    message: `Both a source and a workspace are called "${clip(typed)}".`,
    hint: 'Say which one with source: or version: in front of it.',
    details: { candidates: [`source:${typed}`, `version:${typed}`] },
  });
}

/** Also a deleted version: what runs have read stays known. */
function sourceRef({ db }: Ctx, typed: string): LineageRef | undefined {
  const [name = '', rest] = typed.split('@');
  const version = rest === undefined ? newestSource(db, name)?.version : parseVersion(rest);
  const found = version === undefined ? undefined : recordedSource(db, { name, version });
  return found && { kind: 'source', name: found.name, version: found.version };
}

function missingSource({ db }: Ctx, typed: string): never {
  const [name = '', rest] = typed.split('@');
  requireSource(db, name, rest === undefined ? undefined : (parseVersion(rest) ?? 0));
  throw new GoldfishError('SOURCE_NOT_FOUND', { message: `There is no source "${clip(typed)}".` });
}

function versionRef({ workspaces }: Ctx, typed: string): LineageRef {
  const { workspace, version } = workspaces.version(typed);
  return { kind: 'version', workspace, version };
}

function isSource({ db }: Ctx, typed: string): boolean {
  return newestSource(db, typed.split('@')[0] ?? '') !== undefined;
}

function isWorkspace({ workspaces }: Ctx, typed: string): boolean {
  try {
    workspaces.version(typed);
    return true;
  } catch (error) {
    if (isGoldfishError(error)) return false;
    throw error;
  }
}

function runRefs({ db, runs }: Ctx, typed: string): LineageRef[] {
  const dot = typed.indexOf('.');
  const found = runs.find(dot === -1 ? typed : typed.slice(0, dot));
  const members = found.kind === 'run' ? [found.run] : runs.members(found.run.id);
  if (dot === -1) return members.map(({ id }) => ({ kind: 'run', runId: id }));
  const signal = typed.slice(dot + 1);
  const names = members.flatMap(({ id, plan }) => [
    ...outputsOfRun(db, id).map(({ name }) => ({ id, name })),
    ...plan.outputs.map(({ name }) => ({ id, name })),
  ]);
  const made = names.filter(({ name }) => name === signal);
  const ids = [...new Set(made.map(({ id }) => id))];
  if (ids.length > 0) return ids.map((runId) => ({ kind: 'signal', runId, signal }));
  throw new GoldfishError('INVALID_ARGUMENT', {
    message: `${found.run.id} has no output "${clip(signal)}".`,
    hint: `Its outputs: ${[...new Set(names.map(({ name }) => name))].join(', ') || 'none'}.`,
    details: { field: 'ref' },
  });
}
