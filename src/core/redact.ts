const HIDDEN = '***';
/** Shorter ones would take whole words out of innocent text; the run wrapper's rule for logs. */
const SHORTEST = 4;

/** Text of a program with the values of its secrets taken out, also as JSON writes them. */
export function redact(text: string, secrets: readonly string[]): string {
  const spellings = secrets.flatMap((value) => [value, JSON.stringify(value).slice(1, -1)]);
  // Longest first: where one secret begins another, the whole of it must go.
  const words = [...new Set(spellings)].filter((word) => word.length >= SHORTEST);
  words.sort((a, b) => b.length - a.length);
  return words.reduce((rest, word) => rest.replaceAll(word, () => HIDDEN), text);
}
