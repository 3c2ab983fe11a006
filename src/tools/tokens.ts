/**
 * An estimate of what a text costs a model, in o200k tokens, without a tokenizer. Measured against the real one:
 * within 10 % for the JSON and prose of our own results, never under 0.65 × for anything a program may print.
 */
export function estimateTokens(text: string): number {
  let tokens = 0;
  for (const [part] of text.matchAll(PARTS)) tokens += costOf(part);
  return Math.ceil(tokens);
}

/** Letters by camel case, digits, anything beyond ASCII, white space, punctuation. */
const PARTS = /[A-Z]?[a-z]+|[A-Z]+|\d+|[\u0080-\u{10ffff}]+|\s+|[^A-Za-z\d\s\u0080-\u{10ffff}]+/gu;

function costOf(part: string): number {
  const code = part.codePointAt(0) ?? 0;
  if (code >= 0x80) return Buffer.byteLength(part) / 3;
  if (/\d/.test(part)) return Math.ceil(part.length / 3);
  if (/\s/.test(part)) return part.length > 1 || part === '\n' ? 1 : 0;
  if (!/[a-z]/i.test(part)) return Math.ceil(part.length / 3);
  if (part.length <= 3) return 0.9;
  return part.length <= 8 ? 1.1 : Math.ceil(part.length / 5);
}
