import { EXIT_CODES } from './exit-codes.ts';

/** Where a command writes; tests hold the other end. */
export type Sink = {
  write(text: string): void;
  isTerminal: boolean;
  /** Width in columns; undefined where nobody looks. */
  columns(): number | undefined;
};

export type Streams = { out: Sink; err: Sink };

/** The process's own streams. */
export function processStreams(): Streams {
  endWithTheReader();
  return { out: sinkOf(process.stdout), err: sinkOf(process.stderr) };
}

function sinkOf(stream: NodeJS.WriteStream): Sink {
  const isTerminal = stream.isTTY === true;
  return {
    write: (text) => {
      stream.write(text);
    },
    isTerminal,
    columns: () => (isTerminal ? stream.columns : undefined),
  };
}

/** `goldfish logs … | head`: when the reader has gone there is nobody left to work for. */
function endWithTheReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT_CODES.ok.code);
    process.stderr.write(`goldfish: the output cannot be written (${error.code ?? 'unknown'}).\n`);
    process.exit(EXIT_CODES.unavailable.code);
  });
  process.stderr.on('error', () => undefined);
}

/** Ends the process when everything written has left it; handles that still are open do not hold it. */
export function endProcess(code: number): void {
  process.stdout.write('', () => {
    process.stderr.write('', () => process.exit(code));
  });
}

/** All of stdin as text, for a command that was asked to read it. Ends the reading at `maxBytes`. */
export async function readStdin(maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin) {
    const bytes = Buffer.from(chunk);
    chunks.push(bytes);
    size += bytes.length;
    if (size > maxBytes) break;
  }
  return Buffer.concat(chunks).toString('utf8');
}
