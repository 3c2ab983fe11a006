import { GoldfishError } from '../core/errors.ts';
import { clip, formatVersion, parseReference } from '../core/names.ts';
import type { Slot, WorkspaceVersion } from '../core/rows.ts';
import { nearest } from '../core/suggest.ts';
import type { Db } from '../store/database.ts';
import {
  findNewestVersion,
  findSlot,
  findVersion,
  findWorkspace,
  listSlots,
  type WorkspaceSummary,
  workspaceNames,
} from '../store/workspaces.ts';

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

  /** A workspace by its name or by the slot it is mounted in. Errors: WORKSPACE_NOT_FOUND, SLOT_EMPTY. */
  const workspace = (nameOrSlot: string): WorkspaceSummary => {
    const byName = findWorkspace(db, nameOrSlot);
    if (byName) return byName;
    if (slotNames.includes(nameOrSlot) || findSlot(db, nameOrSlot)?.workspace) {
      const bySlot = findWorkspace(db, mountedSlot(nameOrSlot).workspace);
      if (bySlot) return bySlot;
    }
    throw workspaceNotFound(db, nameOrSlot);
  };

  /** Errors: WORKSPACE_NOT_FOUND, VERSION_NOT_FOUND. */
  const newest = (name: string): WorkspaceVersion => {
    const found = findNewestVersion(db, workspace(name).name);
    if (found) return found;
    throw new GoldfishError('VERSION_NOT_FOUND', { message: `${clip(name)} has no version yet.` });
  };

  const numbered = (name: string, version: number): WorkspaceVersion => {
    const { name: known, newest: last } = workspace(name);
    const found = findVersion(db, known, version);
    if (found) return found;
    throw new GoldfishError('VERSION_NOT_FOUND', {
      message: `${known} has no version ${formatVersion(version)}.`,
      hint: `Its versions are v1 to ${formatVersion(last)}.`,
      fix: { tool: 'list_versions', arguments: { workspace: known } },
      details: { workspace: known, newest: formatVersion(last) },
    });
  };

  /**
   * `ws`, a slot (both: the newest version), `ws@v3`. Runs are resolved by the room that knows them.
   * Errors: WORKSPACE_NOT_FOUND, SLOT_EMPTY, VERSION_NOT_FOUND, INVALID_ARGUMENT.
   */
  const version = (reference: string): WorkspaceVersion => {
    const parsed = parseReference(reference);
    if (parsed.kind === 'name') return newest(parsed.name);
    if (parsed.kind === 'version') return numbered(parsed.name, parsed.version);
    if (parsed.kind === 'tag') {
      const owner = parsed.name === undefined ? undefined : workspace(parsed.name).name;
      throw new GoldfishError('VERSION_NOT_FOUND', {
        message: `No version is tagged "${clip(parsed.tag)}"${owner ? ` in ${owner}` : ''}.`,
        hint: 'Name a version by its number, as in my-workspace@v3.',
        fix: owner
          ? { tool: 'list_versions', arguments: { workspace: owner } }
          : { tool: 'list_workspaces', arguments: {} },
      });
    }
    throw new GoldfishError('INVALID_ARGUMENT', {
      message: `"${clip(reference)}" names a run where a version is wanted.`,
      hint: 'Use a workspace, a slot, or workspace@vN.',
    });
  };

  return { slots, slot, mountedSlot, workspace, newest, version };
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
