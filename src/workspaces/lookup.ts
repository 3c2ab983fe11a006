import { GoldfishError } from '../core/errors.ts';
import { clip } from '../core/names.ts';
import type { Slot } from '../core/rows.ts';
import { nearest } from '../core/suggest.ts';
import type { Db } from '../store/database.ts';
import {
  findKnownWorkspace,
  findSlot,
  findWorkspace,
  listSlots,
  type WorkspaceSummary,
  workspaceNames,
} from '../store/workspaces.ts';
import { versionLookup } from './version-lookup.ts';

/** Finds rows by what a person types. Reads the database only. */
export type Lookup = ReturnType<typeof createLookup>;

export function createLookup(db: Db, slotNames: readonly string[]) {
  /** Those of the configuration, and others that still hold a workspace. */
  const slots = (): Slot[] => {
    const rows = new Map(listSlots(db).map((slot) => [slot.name, slot]));
    const configured = slotNames.map((name) => rows.get(name) ?? { name, workspace: null, mountedAt: null });
    const others = [...rows.values()].filter(
      (slot) => slot.workspace !== null && !slotNames.includes(slot.name),
    );
    return [...configured, ...others];
  };

  /** Errors: INVALID_ARGUMENT for a slot that does not exist. */
  const slot = (name: string): Slot => {
    const found = slots().find((row) => row.name === name);
    if (found) return found;
    const names = slots().map((row) => row.name);
    const near = nearest(name, names);
    const mounted = findWorkspace(db, name)?.slot;
    throw new GoldfishError('INVALID_ARGUMENT', {
      message: `There is no slot "${clip(name)}".`,
      hint: mounted
        ? `The workspace ${name} is mounted in ${mounted}.`
        : `${near ? `Did you mean ${near}? ` : ''}The slots are ${names.join(', ')}.`,
      details: { field: 'slot', allowed: names },
    });
  };

  /** Errors: INVALID_ARGUMENT (no such slot), SLOT_EMPTY. */
  const mountedSlot = (name: string): Slot & { workspace: string } => {
    const row = slot(name);
    if (row.workspace !== null) return { ...row, workspace: row.workspace };
    throw new GoldfishError('SLOT_EMPTY', {
      message: `No workspace is mounted in ${name}.`,
      hint: 'Mount a workspace first.',
      fix: { tool: 'list_workspaces', arguments: {} },
      details: { slot: name },
    });
  };

  /** A workspace that can be worked in, by its name or its slot. Errors: WORKSPACE_NOT_FOUND, SLOT_EMPTY. */
  const workspace = (nameOrSlot: string): WorkspaceSummary => {
    const found = known(nameOrSlot);
    if (found.deletedAt === null) return found;
    throw deleted(found);
  };

  /** The same for reading: also one that was deleted. Errors: WORKSPACE_NOT_FOUND, SLOT_EMPTY. */
  const known = (nameOrSlot: string): WorkspaceSummary => {
    const byName = findKnownWorkspace(db, nameOrSlot);
    if (byName) return byName;
    if (slotNames.includes(nameOrSlot) || findSlot(db, nameOrSlot)?.workspace) {
      const bySlot = findWorkspace(db, mountedSlot(nameOrSlot).workspace);
      if (bySlot) return bySlot;
    }
    throw workspaceNotFound(db, nameOrSlot);
  };

  return { slots, slot, mountedSlot, workspace, known, ...versionLookup(db, known) };
}

function deleted(found: WorkspaceSummary): GoldfishError {
  return new GoldfishError('WORKSPACE_NOT_FOUND', {
    message: `${found.name} was deleted.`,
    hint: 'Its versions and runs can be read; to work on with it, fork it.',
    fix: forkCall(found),
    details: { workspace: found.name, deleted_at: found.deletedAt },
  });
}

/** The call that takes up a deleted workspace again. */
export function forkCall(of: { name: string; goal: string }, name = `${of.name}-again`.slice(0, 64)) {
  return {
    tool: 'create_workspace',
    arguments: { name, goal: of.goal, from_workspace: of.name, reason: `Take up ${of.name} again` },
  };
}

function workspaceNotFound(db: Db, typed: string): GoldfishError {
  const names = workspaceNames(db);
  const near = nearest(typed, names);
  return new GoldfishError('WORKSPACE_NOT_FOUND', {
    message: `There is no workspace or slot "${clip(typed)}".`,
    hint: near
      ? `Did you mean ${near}?`
      : names.length === 0
        ? 'There are no workspaces yet; create one.'
        : 'list_workspaces shows those there are.',
    ...(near === undefined ? {} : { details: { nearest: near } }),
    fix:
      names.length > 0
        ? { tool: 'list_workspaces', arguments: {} }
        : {
            tool: 'create_workspace',
            arguments: {
              name: clip(typed),
              goal: 'What this workspace is to find out',
              reason: 'First workspace of the project',
            },
          },
  });
}
