import { realpath } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { errnoOf, GoldfishError } from '../core/errors.ts';
import { clip } from '../core/names.ts';

/** Where sources may lie, and what below those places is no data. Absolute paths. */
export type SourcePlaces = {
  root: string;
  dataRoots: readonly string[];
  /** Goldfish's own folders and files with secrets. */
  forbidden: readonly string[];
};

/** `path` has no link in it; `uri` is how the place is recorded and shown: as the caller named it, or relative. */
export type SourceLocation = { path: string; uri: string };

/**
 * The place a caller means: a path relative to the project, or an absolute one (also as file://) in the project or
 * below a data root. Links are followed and must end at such a place too.
 * Errors: PATH_OUTSIDE_ROOT, INVALID_ARGUMENT where nothing is there, NOT_SUPPORTED for other kinds of address.
 */
export async function locateSource(places: SourcePlaces, uri: string): Promise<SourceLocation> {
  const path = resolve(places.root, pathOfUri(uri));
  const roots = [places.root, ...places.dataRoots];
  const real = await Promise.all(roots.map((root) => realpath(root).catch(() => root)));
  // Asked before the file system is, so that an answer says nothing about what lies elsewhere.
  if (![...roots, ...real].some((root) => isAtOrBelow(root, path))) throw outside(places, uri);
  const target = await realpath(path).catch((error: unknown) => {
    throw unreachable(error, uri);
  });
  if (!real.some((root) => isAtOrBelow(root, target))) throw outside(places, uri);
  await requireNoOwnState(places, { target, uri });
  const [projectRoot = places.root] = real;
  const inProject = isAtOrBelow(projectRoot, target);
  return { path: target, uri: inProject ? relative(projectRoot, target).split(sep).join('/') || '.' : path };
}

function pathOfUri(uri: string): string {
  if (uri === '' || uri.includes('\0')) throw noPath(uri);
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(uri)) return uri;
  if (!uri.toLowerCase().startsWith('file://')) {
    throw new GoldfishError('NOT_SUPPORTED', {
      message: `"${clip(uri)}" is not on this machine.`,
      hint: 'Download it into the project or a data root and register that path.',
      details: { field: 'uri' },
    });
  }
  try {
    return fileURLToPath(uri);
  } catch {
    throw noPath(uri);
  }
}

async function requireNoOwnState(
  places: SourcePlaces,
  { target, uri }: { target: string; uri: string },
): Promise<void> {
  for (const place of places.forbidden) {
    const own = await realpath(place).catch(() => place);
    if (!isAtOrBelow(own, target) && !isAtOrBelow(target, own)) continue;
    throw new GoldfishError('PATH_OUTSIDE_ROOT', {
      message: `"${shown(uri)}" is, or holds, what Goldfish keeps for itself: its state or the project's secrets.`,
      hint: 'Register the file or folder with the data alone.',
      details: { field: 'uri' },
    });
  }
}

function unreachable(error: unknown, uri: string): unknown {
  const errno = errnoOf(error) ?? '';
  if (!['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EACCES'].includes(errno)) return error;
  const what = errno === 'EACCES' ? 'cannot be read' : 'is not there';
  return new GoldfishError('INVALID_ARGUMENT', {
    message: `"${shown(uri)}" ${what}.`,
    hint: 'uri is a path relative to the project, or an absolute one below an entry of data_roots.',
    details: { field: 'uri' },
  });
}

function outside(places: SourcePlaces, uri: string): GoldfishError {
  const roots =
    places.dataRoots.length === 0 ? 'data_roots is empty' : `data_roots has ${places.dataRoots.length}`;
  return new GoldfishError('PATH_OUTSIDE_ROOT', {
    message: `"${shown(uri)}" is neither in the project nor below a data root (${roots}).`,
    hint: isAbsolute(uri)
      ? 'A person can add the folder to data_roots in goldfish.yaml.'
      : 'Use a path without ".." that no symbolic link leads out of.',
    details: { field: 'uri' },
  });
}

function noPath(uri: string): GoldfishError {
  return new GoldfishError('INVALID_ARGUMENT', {
    message: `"${shown(uri)}" is no path.`,
    hint: 'uri is a path relative to the project, or an absolute one below an entry of data_roots.',
    details: { field: 'uri' },
  });
}

/** As a path, so that it is known for one where absolute paths are taken out of a text. */
function shown(uri: string): string {
  return clip(uri.replace(/^file:\/\//i, ''));
}

function isAtOrBelow(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}

/** What can never be a source: the private state, the stored objects, the file with secrets. */
export function forbiddenPlaces(of: { root: string; stateDir: string; storagePath: string }): string[] {
  return [of.stateDir, of.storagePath, join(of.root, '.env')];
}
