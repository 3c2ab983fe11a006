import { GoldfishError } from '../core/errors.ts';
import { clip, formatVersion, parseReference } from '../core/names.ts';
import type { WorkspaceVersion } from '../core/rows.ts';
import { nearest } from '../core/suggest.ts';
import type { Db } from '../store/database.ts';
import { type FoundTag, findTag, findTagEverywhere, tagNames } from '../store/tags.ts';
import { findNewestVersion, findVersion, type WorkspaceSummary } from '../store/workspaces.ts';

/** Candidates shown where a tag is not unique. */
const CANDIDATES = 5;

/** Finds versions by what a person types. `known` finds their workspace, a deleted one too. */
export function versionLookup(db: Db, known: (nameOrSlot: string) => WorkspaceSummary) {
  /** Errors: WORKSPACE_NOT_FOUND, VERSION_NOT_FOUND. */
  const newest = (name: string): WorkspaceVersion => {
    const found = findNewestVersion(db, known(name).name);
    if (found) return found;
    throw new GoldfishError('VERSION_NOT_FOUND', { message: `${clip(name)} has no version yet.` });
  };

  const numbered = (name: string, version: number): WorkspaceVersion => {
    const { name: owner, newest: last } = known(name);
    const found = findVersion(db, owner, version);
    if (found) return found;
    throw new GoldfishError('VERSION_NOT_FOUND', {
      message: `${owner} has no version ${formatVersion(version)}.`,
      hint: `Its versions are v1 to ${formatVersion(last)}.`,
      fix: { tool: 'list_versions', arguments: { workspace: owner } },
      details: { workspace: owner, newest: formatVersion(last) },
    });
  };

  /** `@tag`, `ws@tag`. Without a workspace it must be the only one of its name. Errors: VERSION_NOT_FOUND, AMBIGUOUS_ID. */
  const tagged = (tag: string, name?: string): FoundTag => {
    const owner = name === undefined ? undefined : known(name).name;
    if (owner !== undefined) {
      const own = findTag(db, owner, tag);
      if (own) return own;
      throw tagNotFound(db, tag, owner);
    }
    const [first, ...others] = findTagEverywhere(db, tag, CANDIDATES);
    if (!first) throw tagNotFound(db, tag, owner);
    if (others.length === 0) return first;
    const candidates = [first, ...others].map((row) => `${row.workspace}@${row.tag}`);
    throw new GoldfishError('AMBIGUOUS_ID', {
      message: `Several workspaces have the tag "${tag}".`,
      hint: `Name the workspace too, as in ${candidates[0]}.`,
      details: { candidates },
    });
  };

  /**
   * `ws`, a slot (both: the newest version), `ws@v3`, `ws@tag`, `@tag`; also of a deleted workspace. Runs are resolved
   * by the room that knows them.
   * Errors: WORKSPACE_NOT_FOUND, SLOT_EMPTY, VERSION_NOT_FOUND, AMBIGUOUS_ID, INVALID_ARGUMENT.
   */
  const version = (reference: string): WorkspaceVersion => {
    const parsed = parseReference(reference);
    if (parsed.kind === 'name') return newest(parsed.name);
    if (parsed.kind === 'version') return numbered(parsed.name, parsed.version);
    if (parsed.kind === 'tag') {
      const found = tagged(parsed.tag, parsed.name);
      return numbered(found.workspace, found.leadsTo);
    }
    throw new GoldfishError('INVALID_ARGUMENT', {
      message: `"${clip(reference)}" names a run where a version is wanted.`,
      hint: 'Use a workspace, a slot, workspace@vN or @tag.',
    });
  };

  /** A version whose files new work may begin with. Errors: VERSION_NOT_FOUND for a pruned one, and those of `version`. */
  const usable = (reference: string): WorkspaceVersion => {
    const found = version(reference);
    if (found.prunedAt === null) return found;
    const shown = formatVersion(found.version);
    throw new GoldfishError('VERSION_NOT_FOUND', {
      message: `${found.workspace}@${shown} was pruned.`,
      hint: 'Restore it first; nothing of it is lost.',
      fix: {
        tool: 'prune_versions',
        arguments: {
          workspace: found.workspace,
          versions: [shown],
          restore: true,
          reason: `Take up ${found.workspace}@${shown} again`,
        },
      },
      details: { workspace: found.workspace, version: shown },
    });
  };

  return { newest, tagged, version, usable };
}

function tagNotFound(db: Db, tag: string, owner: string | undefined): GoldfishError {
  const near = nearest(tag, tagNames(db, owner));
  return new GoldfishError('VERSION_NOT_FOUND', {
    message: `Nothing is tagged "${clip(tag)}"${owner ? ` in ${owner}` : ''}.`,
    hint: near
      ? `Did you mean ${owner ?? ''}@${near}?`
      : 'Name a version by its number, as in my-workspace@v3, or tag one.',
    fix: owner
      ? { tool: 'list_versions', arguments: { workspace: owner } }
      : { tool: 'list_workspaces', arguments: {} },
  });
}
