import { readFile } from 'node:fs/promises';

const EXAMPLE = new URL('../../goldfish.example.yaml', import.meta.url);

/**
 * goldfish.example.yaml as it stands, and with the sections that are commented out there: their "#" stands directly
 * before a key, or before its indentation.
 */
export async function exampleConfig(): Promise<{ text: string; whole: string }> {
  const text = await readFile(EXAMPLE, 'utf8');
  return { text, whole: text.replaceAll(/^( *)#(?=[a-z]| {2})/gm, '$1') };
}
