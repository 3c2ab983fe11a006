import { Console } from 'node:console';
import { Writable } from 'node:stream';

/**
 * Keeps stdout for the protocol: whoever else writes there (console.log, a library) is sent to stderr. Returns the
 * real stdout.
 */
export function takeStdout(): Writable {
  const write = process.stdout.write.bind(process.stdout);
  const output = new Writable({
    decodeStrings: false,
    write: (chunk: string, _encoding, done) => {
      write(chunk, () => done());
    },
  });
  process.stdout.write = process.stderr.write.bind(process.stderr);
  globalThis.console = new Console(process.stderr, process.stderr);
  // A client that died closes the pipe; the end of stdin is what ends us.
  process.stdout.on('error', () => undefined);
  process.stderr.on('error', () => undefined);
  return output;
}
