import { isoTime } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import { clip, formatVersion, parseVersion, requireName } from '../core/names.ts';
import { deleteTag, type FoundTag, findTag, insertTag } from '../store/tags.ts';
import type { ActionDeps } from './slot-actions.ts';

type Deps = Pick<ActionDeps, 'db' | 'clock' | 'lookup'>;

/** What gets, or has, a tag: a version of a workspace, or a record of it. */
export type TagTarget = { workspace: string; version: number } | { workspace: string; recordId: string };

export type TagRequest = { tag: string; target: TagTarget };

/**
 * Gives a name to a version or record; giving it again changes nothing (`created: false`).
 * Errors: INVALID_ARGUMENT for what is no name, WORKSPACE_NOT_FOUND (deleted), TAG_EXISTS.
 */
export function addTag(deps: Deps, request: TagRequest): { created: boolean } {
  const { db, clock, lookup } = deps;
  const { target } = request;
  const tag = requireTag(request.tag);
  return db.write(() => {
    lookup.workspace(target.workspace);
    const existing = findTag(db, target.workspace, tag);
    if (existing && names(existing, target)) return { created: false };
    if (existing) throw tagExists(existing);
    insertTag(db, {
      workspace: target.workspace,
      tag,
      version: 'version' in target ? target.version : null,
      recordId: 'recordId' in target ? target.recordId : null,
      createdAt: isoTime(clock.now()),
    });
    return { created: true };
  });
}

/**
 * Takes a name away from a version or record; without a target, from whatever has it in the workspace.
 * Errors: VERSION_NOT_FOUND where nothing has the tag, CONFLICT where something else has.
 */
export function removeTag(
  deps: Deps,
  request: { tag: string; workspace: string; target?: TagTarget },
): FoundTag {
  const { db, lookup } = deps;
  const { tag, target } = request;
  return db.write(() => {
    const { name } = lookup.workspace(request.workspace);
    const existing = lookup.tagged(tag, name);
    if (target && !names(existing, target)) {
      throw new GoldfishError('CONFLICT', {
        message: `"${tag}" does not name that, but ${describeTag(existing)}.`,
        hint: 'Repeat the call with what it names.',
        fix: { tool: 'tag', arguments: { ref: refOf(existing), tag, remove: true } },
        details: { workspace: name, tag, names: refOf(existing) },
      });
    }
    deleteTag(db, name, tag);
    return existing;
  });
}

/** A tag that reads like a version would hide that version. */
function requireTag(tag: string): string {
  if (parseVersion(tag) === undefined) return requireName(tag, 'tag');
  throw new GoldfishError('INVALID_ARGUMENT', {
    message: `"${clip(tag)}" reads like a version and cannot be a tag.`,
    hint: 'Choose a word, such as best or submitted.',
    details: { field: 'tag' },
  });
}

function names(tag: FoundTag, target: TagTarget): boolean {
  if (tag.workspace !== target.workspace) return false;
  return 'version' in target ? tag.version === target.version : tag.recordId === target.recordId;
}

function refOf(tag: FoundTag): string {
  return tag.recordId ?? `${tag.workspace}@${formatVersion(tag.leadsTo)}`;
}

function describeTag(tag: FoundTag): string {
  return tag.recordId === null ? refOf(tag) : `the record ${tag.recordId}`;
}

function tagExists(existing: FoundTag): GoldfishError {
  const { workspace, tag } = existing;
  return new GoldfishError('TAG_EXISTS', {
    message: `In ${workspace} "${tag}" names ${describeTag(existing)} already.`,
    hint: 'Choose another tag, or remove this one first and call again.',
    fix: { tool: 'tag', arguments: { ref: refOf(existing), tag, remove: true } },
    details: { workspace, tag, names: refOf(existing) },
  });
}
