import { parseDocument } from 'yaml';
import { clip } from '../core/names.ts';
import { type Locate, type Place, type Problem, problemList } from './problem.ts';
import { nodeLocator, type YamlNode } from './yaml-node.ts';
import { readRoot, TOO_DEEP } from './yaml-reader.ts';

/** A file a person writes is far smaller; the parser needs about a second for a megabyte. */
const MAX_CHARACTERS = 512 * 1024;

/** `root` is null where the text is no YAML at all; the problems then say why. */
export type YamlFile = { file: string; root: YamlNode | null; locate: Locate; problems: Problem[] };

/**
 * Reads YAML 1.2 into plain JSON values and remembers where each key and value stands. Never throws: syntax
 * errors, duplicate keys, tags, merge keys, numbers that JSON cannot hold, and files made to exhaust the
 * reader become problems.
 */
export function readYaml(file: string, text: string): YamlFile {
  // Without the byte order mark that some editors write, which would shift the columns of the first line.
  const clean = text.startsWith('\uFEFF') ? text.slice(1) : text;
  const placeOf = placesIn(file, clean);
  const problems = problemList();
  const unreadable = (): YamlFile => ({
    file,
    root: null,
    locate: () => placeOf(0),
    problems: problems.found(),
  });
  if (text.length > MAX_CHARACTERS) {
    const message = `The file has ${text.length} characters; at most ${MAX_CHARACTERS} are read.`;
    problems.add(placeOf(0), { message, hint: 'Keep data in files of their own and only settings here.' });
    return unreadable();
  }
  const document = parseDocument(clean, {
    prettyErrors: false,
    stringKeys: true,
    resolveKnownTags: false,
    // The library compares each key with each; the reader below does it with a set, and says where the first one is.
    uniqueKeys: false,
  });
  const errors = [...document.errors, ...document.warnings];
  for (const error of onlyTheCause(errors)) {
    problems.add(placeOf(error.pos[0]), syntaxProblem(error.code, error.message));
  }
  // Older versions of YAML read the same text as other values: `yes`, dates, merge keys.
  if (document.directives?.yaml.explicit === true) {
    const message = 'Files are read as YAML 1.2, whatever they declare.';
    problems.add(placeOf(0), { message, hint: 'Remove the line that begins with "%YAML".' });
    return unreadable();
  }
  if (document.errors.length > 0) return unreadable();
  const root = readRoot(document.contents, { placeOf, problems });
  return { file, root, locate: nodeLocator(root, placeOf), problems: problems.found() };
}

/** Offsets to lines and columns. Not the library's LineCounter, which misses line breaks after a token that does not fit. */
function placesIn(file: string, text: string): (offset: number) => Place {
  let starts: number[] | undefined;
  return (anyOffset) => {
    const offset = Math.min(anyOffset, text.length);
    starts ??= [0, ...Array.from(text.matchAll(/\n/g), (match) => match.index + 1)];
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return { file, line: low + 1, column: offset - (starts[low] ?? 0) + 1 };
  };
}

type SyntaxError = { code: string; message: string; pos: [number, number] };

/**
 * Leaves out what only follows from another error: what is nested too deeply fails at each level on the way out,
 * and after the first token that does not fit, the rest of the file does not fit either.
 */
function onlyTheCause(errors: readonly SyntaxError[]): readonly SyntaxError[] {
  const exhausted = errors.find((error) => error.code === 'RESOURCE_EXHAUSTION');
  if (exhausted) return [exhausted];
  const lost = errors.findIndex((error) => error.code === 'UNEXPECTED_TOKEN');
  return errors.filter((error, index) => error.code !== 'UNEXPECTED_TOKEN' || index === lost);
}

/** Own words where the library's speak of its options and tokens. */
const SYNTAX: Record<string, { message?: string; hint: string }> = {
  RESOURCE_EXHAUSTION: TOO_DEEP,
  UNEXPECTED_TOKEN: {
    message: 'This is not valid YAML: this text does not fit here.',
    hint: 'Look for a quote, bracket or colon too many or too few in front of it.',
  },
  NON_STRING_KEY: {
    message: 'A key must be plain text.',
    hint: 'Write the key out, without brackets or alias.',
  },
  MULTIPLE_DOCS: {
    message: 'A second document begins here; only one is read.',
    hint: 'Remove the line "---".',
  },
  TAG_RESOLVE_FAILED: {
    message: 'Tags ("!…") are not supported.',
    hint: 'Remove the tag and write a plain value.',
  },
  TAB_AS_INDENT: { hint: 'Indent with spaces, not with tabs.' },
  BAD_INDENT: { hint: 'Give all keys of one mapping the same indentation, and close every bracket.' },
  MISSING_CHAR: { hint: 'Close every bracket and quote, and put ":" and a space after each key.' },
  BLOCK_AS_IMPLICIT_KEY: { hint: 'Quote a value that contains ": ".' },
  BAD_SCALAR_START: { hint: 'Quote a value that starts with a special character.' },
};

function syntaxProblem(code: string, text: string): Omit<Problem, keyof Place> {
  const { message, hint } = SYNTAX[code] ?? { hint: 'Check indentation, colons and quotes at this place.' };
  return { message: message ?? `This is not valid YAML: ${clip(text, 160).replace(/\.$/, '')}.`, hint };
}
