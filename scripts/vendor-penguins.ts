/**
 * Makes examples/penguins/data/penguins.csv from the table that npm's `vega-datasets` carries.
 * Run it with `node scripts/vendor-penguins.ts`; a test proves that the committed file is what it makes.
 */
import { readFile, writeFile } from 'node:fs/promises';

const SOURCE = new URL('../node_modules/vega-datasets/data/penguins.json', import.meta.url);
const TARGET = new URL('../examples/penguins/data/penguins.csv', import.meta.url);

/** Column of the csv, as the Palmer penguins are known everywhere else → key of the source. */
const COLUMNS = {
  species: 'Species',
  island: 'Island',
  bill_length_mm: 'Beak Length (mm)',
  bill_depth_mm: 'Beak Depth (mm)',
  flipper_length_mm: 'Flipper Length (mm)',
  body_mass_g: 'Body Mass (g)',
  sex: 'Sex',
} as const;

type Penguin = Record<string, string | number | null>;

/** The table as the package has it. */
export async function readPenguins(): Promise<Penguin[]> {
  return JSON.parse(await readFile(SOURCE, 'utf8')) as Penguin[];
}

/** The csv: the order of the source, numbers as they are, an empty cell for what is missing. */
export function penguinsCsv(penguins: readonly Penguin[]): string {
  const header = Object.keys(COLUMNS).join(',');
  const rows = penguins.map((penguin) =>
    Object.values(COLUMNS)
      .map((key) => cell(penguin[key]))
      .join(','),
  );
  return `${[header, ...rows].join('\n')}\n`;
}

/** One bird's sex stands as "." in the field notes: not known. No value of the table needs quoting. */
function cell(value: string | number | null | undefined): string {
  if (value === undefined) throw new Error('the source lacks a column');
  const text = value === null || value === '.' ? '' : String(value);
  if (/[",\r\n]/.test(text)) throw new Error(`a value needs quoting: ${text}`);
  return text === 'MALE' || text === 'FEMALE' ? text.toLowerCase() : text;
}

if (import.meta.main) await writeFile(TARGET, penguinsCsv(await readPenguins()));
