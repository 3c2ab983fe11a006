import type { Readable, Writable } from 'node:stream';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { ErrorCode, type JSONRPCMessage, JSONRPCMessageSchema } from '@modelcontextprotocol/sdk/types.js';

/** One message may be this long, in bytes. The tools' own limit is far lower and gives a better answer. */
const MAX_MESSAGE_BYTES = 32 * 1024 * 1024;
/** Of a message too long to keep, this much of both ends, to find its id. */
const KEPT_END_BYTES = 512;

export type StdioTransport = Transport & {
  /** Resolves when stdin has ended. */
  readonly ended: Promise<void>;
};

type RequestId = string | number | null;

/**
 * Lines of JSON over a pair of streams. The SDK's transport closes the connection at 10 MB, joins chunks in quadratic
 * time, answers nothing to a line that is no message, and does not notice the end of stdin; this one does all four.
 */
export function createStdioTransport(input: Readable, output: Writable): StdioTransport {
  let chunks: Buffer[] = [];
  let pending = 0;
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });

  const transport: StdioTransport = {
    ended,
    start: async () => {
      input.on('data', onData);
      input.once('end', end);
      input.once('close', end);
      input.once('error', end);
    },
    send: (message) => write(message),
    close: async () => {
      input.off('data', onData);
      input.pause();
      transport.onclose?.();
    },
  };

  function write(message: JSONRPCMessage | ErrorMessage): Promise<void> {
    return new Promise((resolve) => {
      // Errors of the stream mean that the client is gone; the end of stdin tells the rest of the program.
      output.write(`${JSON.stringify(message)}\n`, () => resolve());
    });
  }

  function onData(data: Buffer): void {
    let rest = data;
    for (let at = rest.indexOf(0x0a); at !== -1; at = rest.indexOf(0x0a)) {
      keep(rest.subarray(0, at));
      const line = chunks;
      const size = pending;
      chunks = [];
      pending = 0;
      receive(line, size);
      rest = rest.subarray(at + 1);
    }
    if (rest.length > 0) keep(rest);
  }

  function keep(chunk: Buffer): void {
    pending += chunk.length;
    chunks.push(chunk);
    // Too long to keep: both ends are enough to answer it.
    if (pending > MAX_MESSAGE_BYTES) {
      const all = Buffer.concat(chunks);
      chunks = [all.subarray(0, KEPT_END_BYTES), all.subarray(-KEPT_END_BYTES)].map((part) =>
        Buffer.from(part),
      );
    }
  }

  function receive(line: Buffer[], size: number): void {
    const text = Buffer.concat(line).toString('utf8').trim();
    if (text === '') return;
    if (size > MAX_MESSAGE_BYTES) {
      refuse(
        guessId(text),
        ErrorCode.InvalidRequest,
        `The message is longer than ${MAX_MESSAGE_BYTES} bytes.`,
      );
      return;
    }
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      refuse(null, ErrorCode.ParseError, 'The line is not JSON.');
      return;
    }
    const parsed = JSONRPCMessageSchema.safeParse(value);
    if (parsed.success) transport.onmessage?.(parsed.data);
    else refuse(idOf(value), ErrorCode.InvalidRequest, 'The message is not a JSON-RPC 2.0 message.');
  }

  function refuse(id: RequestId, code: number, message: string): void {
    void write({ jsonrpc: '2.0', id, error: { code, message } });
  }

  return transport;
}

/** JSON-RPC wants `id: null` where the id could not be read, which the SDK's type does not know. */
type ErrorMessage = { jsonrpc: '2.0'; id: RequestId; error: { code: number; message: string } };

function idOf(value: unknown): RequestId {
  if (typeof value !== 'object' || value === null || !('id' in value)) return null;
  return typeof value.id === 'string' || typeof value.id === 'number' ? value.id : null;
}

/** The id of a message of which only both ends are left. */
function guessId(ends: string): RequestId {
  const match = /"id"\s*:\s*(\d+|"[^"\\]*")\s*[,}]/.exec(ends);
  return match?.[1] === undefined ? null : (JSON.parse(match[1]) as string | number);
}
