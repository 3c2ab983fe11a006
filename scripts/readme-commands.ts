/** One command of the README with the output that stands below it. */
export type ReadmeCommand = { line: number; command: string; expected: string[] };

const SHELL_FENCES = new Set(['sh', 'bash', 'shell', 'zsh']);

/**
 * Every command of the fenced `console` blocks: lines that begin with `$ `, each followed by its output. A line `…`
 * in the output stands for any lines. Other shell fences are refused, so that no command goes unchecked.
 */
export function readCommands(markdown: string): ReadmeCommand[] {
  const commands: ReadmeCommand[] = [];
  let fence: string | undefined;
  for (const [index, line] of markdown.split('\n').entries()) {
    const opens = /^```(\w*)$/.exec(line);
    if (opens) {
      fence = fence === undefined ? (opens[1] ?? '') : undefined;
      if (fence !== undefined && SHELL_FENCES.has(fence)) {
        throw new Error(`README.md:${index + 1}: use a \`console\` fence, so that the command is checked`);
      }
    } else if (fence === 'console') {
      if (line.startsWith('$ ')) commands.push({ line: index + 1, command: line.slice(2), expected: [] });
      else commands.at(-1)?.expected.push(line);
    }
  }
  return commands;
}

const MASKS: [RegExp, string][] = [
  [/\b(stage|prun|snap)-[0-9a-f]{8,12}(-\d{8}-\d{6})?/g, '$1-ID'],
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, 'TIME'],
  [/\/\S*goldfish-demo-\w+/g, 'FOLDER'],
  [/\b\d+(\.\d+)? ?(s|ms)\b/g, 'DURATION'],
  [/\b\d+ passed\b/g, 'N passed'],
  [/\b\d+ skipped\b/g, 'N skipped'],
  [/\s+/g, ' '],
];

/** Ids, times, durations and counts of tests differ from run to run; runs of spaces follow their widths. */
export function mask(line: string): string {
  return MASKS.reduce((text, [pattern, word]) => text.replace(pattern, word), line).trim();
}

/** The first expected line that the output does not have in its place; undefined where all is as it stands. */
export function firstDifference(expected: readonly string[], actual: readonly string[]): string | undefined {
  const lines = actual.map(mask).filter((line) => line !== '');
  let at = 0;
  let anywhere = false;
  for (const line of expected.map(mask).filter((text) => text !== '')) {
    if (line === '…') {
      anywhere = true;
      continue;
    }
    const found = anywhere ? lines.indexOf(line, at) : lines[at] === line ? at : -1;
    if (found === -1)
      return `expected "${line}", got "${anywhere ? 'no such line' : (lines[at] ?? 'the end')}"`;
    at = found + 1;
    anywhere = false;
  }
  return anywhere || at === lines.length ? undefined : `unexpected line "${lines[at] ?? ''}"`;
}
