/**
 * Draws docs/images/demo.svg from the demo's output as the README shows it (which check-readme holds to the truth).
 * `--check` compares instead of writing.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readCommands } from './readme-commands.ts';

const README = fileURLToPath(new URL('../README.md', import.meta.url));
const PICTURE = fileURLToPath(new URL('../docs/images/demo.svg', import.meta.url));
const LINE = 18;
const CHARACTER = 7.83;
const MARGIN = 20;

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Colours by what a word means, as a terminal would show them. */
function colour(line: string): string {
  return escapeXml(line)
    .replaceAll('  ', '\u00a0\u00a0')
    .replaceAll(/\b(cached)\b/g, '<tspan fill="#7fd1ff">$1</tspan>')
    .replaceAll(/\b(completed|success)\b/g, '<tspan fill="#8fdc9a">$1</tspan>')
    .replaceAll(/(\+\d[\d.]*)$/g, '<tspan fill="#8fdc9a">$1</tspan>')
    .replace(/^(RUN|WHAT DIFFERS|Where everything is)(.*)$/, '<tspan fill="#f4a95c">$1$2</tspan>');
}

export function draw(markdown: string): string {
  const demo = readCommands(markdown).find(({ command }) => command.includes('npm run demo'));
  if (!demo) throw new Error('README.md does not show the demo');
  const lines = ['$ npm run demo', ...demo.expected.filter((line) => line !== '…')];
  while (lines.at(-1) === '') lines.pop();
  const width = Math.ceil(Math.max(...lines.map((line) => line.length)) * CHARACTER + 2 * MARGIN);
  const height = lines.length * LINE + 2 * MARGIN;
  const text = lines.map(
    (line, row) => `  <text x="${MARGIN}" y="${MARGIN + 13 + row * LINE}">${colour(line)}</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="Output of npm run demo">`,
    '  <style>text { font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #d9dde3; white-space: pre }</style>',
    '  <rect width="100%" height="100%" rx="10" fill="#1b1f27"/>',
    ...text,
    '</svg>',
    '',
  ].join('\n');
}

if (import.meta.main) {
  const drawn = draw(readFileSync(README, 'utf8'));
  if (process.argv.includes('--check')) {
    if (readFileSync(PICTURE, 'utf8') !== drawn) {
      console.error('docs/images/demo.svg is not what README.md shows; run node scripts/picture.ts');
      process.exit(1);
    }
  } else {
    mkdirSync(dirname(PICTURE), { recursive: true });
    writeFileSync(PICTURE, drawn);
  }
}
