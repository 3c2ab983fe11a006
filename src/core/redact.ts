const HIDDEN = '***';
/** Shorter ones would take whole words out of innocent text. */
const SHORTEST = 4;

/**
 * Text of a program with the values of its secrets taken out, in every spelling that a program prints by accident
 * (lines of a value, JSON, URL, base64). The run wrapper does the same to logs; a test keeps the two together.
 */
export function redact(text: string, secrets: readonly string[]): string {
  if (secrets.length === 0) return text;
  const spellings = secrets.flatMap((value) => [value, ...value.split(/\r\n|[\n\r]/)]).flatMap(spellingsOf);
  const words = [...new Set(spellings)].filter((word) => word.length >= SHORTEST);
  // Longest first: where one secret begins another, the whole of it must go.
  words.sort((a, b) => b.length - a.length);
  return words.reduce((rest, word) => rest.replaceAll(word, () => HIDDEN), text);
}

function spellingsOf(value: string): string[] {
  if (Buffer.byteLength(value) < SHORTEST) return [];
  const json = JSON.stringify(value).slice(1, -1);
  const ascii = json.replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  const url = encodeURIComponent(value.toWellFormed()).replace(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return [value, json, ascii, url, Buffer.from(value).toString('base64').replace(/=+$/, '')];
}
