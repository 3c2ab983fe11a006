/** What the engine says while it builds, pulls or pushes: one JSON object a line. */
type Message = {
  stream?: string;
  status?: string;
  id?: string;
  progress?: string;
  error?: string;
  /** For programs. Of a push: under which tag the registry has what. */
  aux?: { Tag?: unknown; Digest?: unknown };
};

/** The engine's own words on why it gave up. */
export type BuildFailure = {
  message: string;
  /** The step that failed, counted from 1; null where none had begun. */
  step: number | null;
  /** The last lines before it, for whoever must find out why. */
  output: string;
};

const KEPT_OUTPUT = 64 * 1024;
/** The engine paints what a command writes to its error stream, which is how the two are told apart. */
const ERROR_STREAM = '\u001b[91m';
const COLOURS = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');
/** What the engine says itself begins a line, also after a command whose last line has no end. */
const OWN_WORDS = /^(Step \d+\/\d+ : | ---> |Removing intermediate container |Successfully )/;
const STEP = /^Step (\d+)\/\d+ : /;

/**
 * Reads to the end; each whole line goes to `onLine`. Answers the failure, or undefined. The client's own helper
 * reports no error for a failing step, which is why it is not used.
 */
export async function followBuild(
  stream: NodeJS.ReadableStream,
  onLine: (text: string) => void,
): Promise<BuildFailure | undefined> {
  let failure: BuildFailure | undefined;
  let step: number | null = null;
  let output = '';
  // A command's two streams come in pieces, in any order: each has an unfinished line of its own.
  const unfinished = { out: '', err: '' };
  const say = (text: string): void => {
    const line = text.trimEnd();
    if (line === '') return;
    const number = STEP.exec(line)?.[1];
    if (number !== undefined) step = Number(number);
    output = `${output}${line}\n`.slice(-KEPT_OUTPUT);
    onLine(line);
  };
  const finish = (): void => {
    for (const stream of ['out', 'err'] as const) {
      say(unfinished[stream]);
      unfinished[stream] = '';
    }
  };
  for await (const message of messages(stream)) {
    if (message.error !== undefined) failure ??= { message: message.error, step, output };
    const said = textOf(message);
    if (OWN_WORDS.test(said)) finish();
    const stream = message.stream?.startsWith(ERROR_STREAM) ? 'err' : 'out';
    const lines = (unfinished[stream] + said).split('\n');
    unfinished[stream] = lines.pop() ?? '';
    for (const line of lines) say(line);
  }
  finish();
  return failure && { ...failure, output };
}

/** Of a download's progress only its milestones. */
export function textOf(message: Message): string {
  if (message.stream !== undefined) return message.stream.replaceAll('\r', '\n').replaceAll(COLOURS, '');
  if (message.status === undefined || message.progress !== undefined) return '';
  return `${message.id === undefined ? '' : `${message.id}: `}${message.status}\n`;
}

export async function* messages(stream: NodeJS.ReadableStream): AsyncGenerator<Message> {
  let rest = '';
  stream.setEncoding('utf8');
  for await (const chunk of stream) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield* parse(line);
  }
  yield* parse(rest);
}

function* parse(line: string): Generator<Message> {
  if (line.trim() === '') return;
  try {
    yield JSON.parse(line) as Message;
  } catch {
    yield { stream: `${line}\n` };
  }
}
