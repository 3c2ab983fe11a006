/** Where a project lies: what must not stand in an answer as an absolute path. */
export type ProjectPaths = { root: string; stateDir: string; checkouts: string };

/** Turns a text into one that may leave the process. */
export type Scrub = (text: string) => string;

/**
 * Project paths become relative ones; a file of a version's checkout becomes its name in the version, so that a
 * traceback reads as the agent wrote the file.
 */
export function projectScrub(paths: ProjectPaths | undefined): Scrub {
  if (paths === undefined) return (text) => text;
  const checkout = new RegExp(`${escapePattern(paths.checkouts)}/[0-9a-f]+(?:/|(?![\\w-]))`, 'g');
  const replacements: [string, string][] = [
    [`${paths.stateDir}/`, '.goldfish/'],
    [paths.stateDir, '.goldfish'],
    [`${paths.root}/`, ''],
    [paths.root, '.'],
  ];
  return (text) => {
    if (!text.includes(paths.root) && !text.includes(paths.stateDir)) return text;
    const relative = text.replace(checkout, (found) => (found.endsWith('/') ? '' : '.'));
    return replacements.reduce((result, [from, to]) => result.replaceAll(from, to), relative);
  };
}

/** For errors, which are our words and may quote the caller's: no absolute path at all is left. */
export function errorScrub(paths: ProjectPaths | undefined): Scrub {
  const project = projectScrub(paths);
  return (text) => project(text).replaceAll(ABSOLUTE_PATH, '<path>');
}

/** `/x…` that does not go on a word, a relative path, a URL or a closing tag: `/etc/passwd`, not `and/or`. */
const ABSOLUTE_PATH = /(?<![\w./~<-])(?<!:(?=\/\/))\/+[\w.@+~-][^\s"'`,;()[\]{}<>]*/g;

/** Applies a scrub to every string of a JSON value, keys included. */
export function scrubDeep(value: unknown, scrub: Scrub): unknown {
  if (typeof value === 'string') return scrub(value);
  if (Array.isArray(value)) return value.map((item) => scrubDeep(item, scrub));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [scrub(key), scrubDeep(item, scrub)]));
}

function escapePattern(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
