const HIDDEN = '***';
/** Shorter ones would take whole words out of innocent text. */
const SHORTEST = 4;

/**
 * Text of a program with the values of its secrets taken out, in every spelling that a program prints by accident.
 * The one rule for what a secret looks like: the run wrapper, which hides them in logs, is handed the same words.
 */
export function redact(text: string, secrets: readonly string[]): string {
  return hiddenWords(secrets).reduce((rest, word) => rest.replaceAll(word, () => HIDDEN), text);
}

/**
 * What must not be read anywhere, longest first: where one secret begins another, the whole of it must go. Of a value
 * of several lines each line counts by itself, because a log is hidden line by line.
 */
export function hiddenWords(secrets: readonly string[]): string[] {
  const values = secrets.flatMap((value) => [value, ...value.split(/\r\n|[\n\r]/)]);
  const words = new Set(values.flatMap((value) => spellingsOf(value.toWellFormed())));
  return [...words]
    .filter((word) => word.length >= SHORTEST && !word.includes('\n'))
    .sort((a, b) => b.length - a.length);
}

function spellingsOf(value: string): string[] {
  const bytes = Buffer.from(value);
  if (bytes.length < SHORTEST) return [];
  const json = JSON.stringify(value).slice(1, -1);
  const ascii = json.replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  const hex = bytes.toString('hex');
  return [
    value,
    json,
    ascii,
    // As Python shows a text: only the quotes around it are escaped.
    json.replaceAll('\\"', '"'),
    ...urlSpellings(value),
    ...base64Spellings(bytes),
    hex,
    hex.toUpperCase(),
  ];
}

/** With and without the letters that JavaScript leaves as they are, as a form writes it, in either case. */
function urlSpellings(value: string): string[] {
  const loose = encodeURIComponent(value);
  const strict = loose.replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);
  const both = [loose, strict].flatMap((text) => [text, text.replaceAll('%20', '+')]);
  return [...both, ...both.map((text) => text.replace(/%../g, (code) => code.toLowerCase()))];
}

/**
 * Alone, and as a part of something longer (`user:secret` of a request's header): there the bytes before it move it by
 * nothing, one or two, and only the letters that no neighbour takes part in are always the same.
 */
function base64Spellings(bytes: Buffer): string[] {
  const alone = bytes.toString('base64').replace(/=+$/, '');
  const within = [0, 1, 2].map((before) => {
    const moved = Buffer.concat([Buffer.alloc(before), bytes]);
    const [first, end] = [Math.ceil((before * 8) / 6), Math.floor((moved.length * 8) / 6)];
    return moved.toString('base64').slice(first, end);
  });
  const plain = [alone, ...within];
  return [...plain, ...plain.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'))];
}
