import type { Cli } from './cli.ts';
import { plainLine } from './render/terminal-text.ts';
import { fitText } from './render/width.ts';

export type ProgressLine = {
  update(fraction: number, message: string): void;
  /** Takes the line away before something else is written. */
  clear(): void;
};

const REWRITE = '\r\u001b[K';

/** Progress on stderr: one line that rewrites itself on a terminal, else a line for each change. */
export function progressLine(cli: Pick<Cli, 'streams' | 'options'>): ProgressLine {
  const { err } = cli.streams;
  const isOn = cli.options.progress && cli.options.quiet !== true;
  let shown = '';
  return {
    update: (fraction, message) => {
      const line = plainLine(`${Math.floor(fraction * 100)} %  ${message}`);
      if (!isOn || line === shown) return;
      shown = line;
      const columns = err.columns();
      err.write(columns === undefined ? `${line}\n` : `${REWRITE}${fitText(line, columns - 1)}`);
    },
    clear: () => {
      if (shown !== '' && err.isTerminal) err.write(REWRITE);
    },
  };
}
