import type { Style, StyleName } from './style.ts';
import { plainLine } from './terminal-text.ts';
import { fitText, padText, textWidth } from './width.ts';

export type Column = {
  title: string;
  align?: 'left' | 'right';
  /** May be cut where the terminal is too narrow; the widest of them first. */
  shrinks?: boolean;
  style?: (cell: string) => StyleName | undefined;
};

export type Cell = string | number | null | undefined;

const GAP = 2;
/** No column is cut below this. */
const LEAST_WIDTH = 8;

/**
 * Rows in aligned columns under a header; columns without any value are left out. `width` is that of the terminal;
 * without it (piped) nothing is cut. Ends without a line break.
 */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  options: { style: Style; width?: number | undefined },
): string {
  const cells = rows.map((row) => columns.map((_, i) => plainLine(`${row[i] ?? ''}`)));
  const kept = columns.map((_, i) => i).filter((i) => cells.some((row) => row[i] !== ''));
  const widths = fitWidths(columns, cells, kept, options.width);
  const line = (row: readonly string[], styleOf: (column: Column, cell: string) => StyleName | undefined) =>
    kept
      .map((i, at) => {
        const column = columns[i] ?? { title: '' };
        const cell = row[i] ?? '';
        const width = widths.get(i) ?? 0;
        const fitted = fitText(cell, width);
        const isLast = at === kept.length - 1 && column.align !== 'right';
        const padded = isLast ? fitted : padText(fitted, width, column.align);
        return options.style(styleOf(column, cell), padded);
      })
      .join(' '.repeat(GAP))
      .trimEnd();
  const titles = columns.map((column) => column.title.toUpperCase());
  return [
    line(titles, () => 'bold'),
    ...cells.map((row) => line(row, (column, cell) => column.style?.(cell))),
  ].join('\n');
}

function fitWidths(
  columns: readonly Column[],
  cells: readonly (readonly string[])[],
  kept: readonly number[],
  available: number | undefined,
): Map<number, number> {
  const widths = new Map<number, number>();
  for (const i of kept) {
    const title = columns[i]?.title ?? '';
    widths.set(i, Math.max(textWidth(title), ...cells.map((row) => textWidth(row[i] ?? ''))));
  }
  if (available === undefined) return widths;
  const total = (): number => [...widths.values()].reduce((sum, width) => sum + width + GAP, -GAP);
  for (let excess = total() - available; excess > 0; excess = total() - available) {
    const widest = kept
      .filter((i) => columns[i]?.shrinks && (widths.get(i) ?? 0) > LEAST_WIDTH)
      .sort((a, b) => (widths.get(b) ?? 0) - (widths.get(a) ?? 0))[0];
    // What cannot be made to fit is left to the terminal to wrap.
    if (widest === undefined) break;
    const width = widths.get(widest) ?? 0;
    widths.set(widest, Math.max(LEAST_WIDTH, width - excess));
  }
  return widths;
}
