import type { Answer } from './mcp-session.ts';

const BACKEND_WORDS = /process \(auto: [^\n]*\)/g;

/**
 * An answer as it can stand in a snapshot: ids numbered in the order they appear, times, hashes and random tags
 * masked. What is masked differs from run to run; everything else must not.
 */
export function masking(): (answer: Answer) => { text: string; structured: unknown } {
  const numbers = new Map<string, string>();
  const number = (kind: string) => (found: string) => {
    const known = numbers.get(found);
    if (known !== undefined) return known;
    const count = [...numbers.values()].filter((name) => name.startsWith(`${kind}-`)).length;
    const name = `${kind}-${count + 1}`;
    numbers.set(found, name);
    return name;
  };
  const maskText = (text: string): string =>
    text
      .replaceAll(/stage-[a-f0-9]{12}/g, number('stage'))
      .replaceAll(/prun-[a-f0-9]{12}/g, number('prun'))
      .replaceAll(/snap-[a-f0-9]{8}-\d{8}-\d{6}/g, number('snap'))
      .replaceAll(/\b01[0-9A-HJKMNP-TV-Z]{24}\b/g, number('record'))
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
      .replaceAll(/sha256:[a-f0-9]{64}/g, 'HASH')
      .replaceAll(/sha256\/[a-f0-9]{2}\/[a-f0-9]{64}/g, 'sha256/HASH')
      .replaceAll(/program-output-[a-f0-9]{16}/g, 'program-output-TAG')
      .replaceAll(/\d+(\.\d)? s\b/g, 'N s')
      .replaceAll(/"cursor":"\d+\.[a-f0-9]{8}"/g, '"cursor":"CURSOR"')
      .replaceAll(/\[(?:0|[1-9]\d*),(?=[-\d"])/g, '[STEP,')
      .replaceAll(/disk: [^\n]* stored/g, 'disk: DISK')
      .replaceAll(BACKEND_WORDS, 'process (WHY)')
      // Columns are as wide as what stood in them.
      .replaceAll(/ {2,}/g, '  ');
  const mask = (value: unknown, key = ''): unknown => {
    if (key === 'why' && typeof value === 'string' && /^(auto: |stages run )/.test(value)) return 'WHY';
    if (key === 'disk') return 'DISK';
    if (key === 'eta' && value !== null) return 'ETA';
    if (key === 'goldfish_version') return 'VERSION';
    if (key === 'cursor' && /^\d+(\.[a-f0-9]{8})?$/.test(String(value))) return 'CURSOR';
    if (typeof value === 'string') return maskText(value);
    if (Array.isArray(value)) return value.map((item) => mask(item));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [maskText(name), mask(item, name)]),
    );
  };
  return (answer) => ({ text: maskText(answer.text), structured: mask(answer.structured) });
}
