/** Where a comment takes whole lines, as one that takes a test away does. */
const COMMENTS = /^[ \t]*(\/\/.*|\/\*[\s\S]*?\*\/)/gm;
/** The beginning of a test or of a group of them, with what is said of it: `it.skipIf(`. */
const CALLS = /\b(?:it|test|describe)((?:\.\w+)*)\(/g;

/** Whether a file of tests has one with that in its title which is executed: neither skipped for good nor in a comment. */
export function isTested(source: string, title: string): boolean {
  const [before, ...rest] = source.replaceAll(COMMENTS, '').split(title);
  if (before === undefined || rest.length === 0) return false;
  const calls = [...before.matchAll(CALLS)];
  const own = calls.at(-1);
  // A group that is left out may end before it; nobody needs to know, as there is to be none.
  const groups = calls.filter(([call]) => call.startsWith('describe'));
  return own !== undefined && ![own, ...groups].some(([, how = '']) => isLeftOut(how));
}

function isLeftOut(how: string): boolean {
  return how.split('.').some((word) => ['skip', 'todo', 'fails'].includes(word));
}
