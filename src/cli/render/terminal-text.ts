/**
 * What a terminal may be given of text that is not ours. A program's output could otherwise set the window title,
 * fill the clipboard, rewrite lines above it or type answers into the shell.
 */

const ESC = '\u001b';
/** BEL, and the string terminator in one byte and in two. */
const STRING_ENDS = ['\u0007', '\u009c', `${ESC}\\`];
/** CSI in one byte: what `ESC [` is in two. */
const CSI = '\u009b';
/** What begins a string that terminals swallow (OSC, DCS, SOS, PM, APC): after ESC, and in one byte. */
const STRING_AFTER_ESC = ']PX^_';
const STRING_STARTS = '\u009d\u0090\u0098\u009e\u009f';
/** Every control character but tab and line feed. */
const CONTROLS = /[^\P{Cc}\t\n]/u;

/**
 * One or more lines for a terminal: control sequences are dropped, colours stay where `colour` is wanted, and of a
 * line that rewrites itself with carriage returns (a progress bar) the last state is shown.
 */
export function terminalText(text: string, options: { colour: boolean }): string {
  // Nearly every text: nothing to look for.
  if (!CONTROLS.test(text)) return text;
  return text
    .split('\n')
    .map((line) => cleanLine(lastState(line), options.colour))
    .join('\n');
}

/** One line of plain text for a cell or a message: no control sequence, no colour, no line break. */
export function plainLine(text: string): string {
  return terminalText(text.replaceAll(/\s+/g, ' '), { colour: false }).trim();
}

/** JSON for a terminal: JSON.stringify escapes C0 but leaves DEL and C1, which some terminals obey. */
export function terminalJson(json: string): string {
  return json.replaceAll(/[^\P{Cc}\t\n]/gu, (found) => `\\u00${found.charCodeAt(0).toString(16)}`);
}

function lastState(line: string): string {
  return line.split('\r').findLast((state) => state !== '') ?? '';
}

function cleanLine(line: string, colour: boolean): string {
  const lastEnd = Math.max(...STRING_ENDS.map((end) => line.lastIndexOf(end)));
  let clean = '';
  let isColoured = false;
  let at = 0;
  while (at < line.length) {
    const sequence = sequenceAt(line, at, lastEnd);
    if (sequence === '') {
      clean += line.charAt(at);
      at += 1;
      continue;
    }
    at += sequence.length;
    if (!colour || !isColour(sequence)) continue;
    clean += sequence;
    isColoured = true;
  }
  // What a program left switched on must not colour the next line, or the shell.
  return isColoured ? `${clean}${ESC}[0m` : clean;
}

/**
 * The control sequence or character that begins here; empty for text. What is cut short is its introducer alone.
 * `lastEnd` is where the last end of a string stands in the line, or -1.
 */
function sequenceAt(line: string, at: number, lastEnd: number): string {
  const first = line.charAt(at);
  if (!CONTROLS.test(first)) return '';
  const second = line.charAt(at + 1);
  if (first === CSI) return controlSequence(line, at, at + 1);
  if (first === ESC && second === '[') return controlSequence(line, at, at + 2);
  if (STRING_STARTS.includes(first)) return swallowed(line, { start: at, body: at + 1, lastEnd });
  if (first !== ESC || second === '') return first;
  if (STRING_AFTER_ESC.includes(second)) return swallowed(line, { start: at, body: at + 2, lastEnd });
  return escapeSequence(line, at);
}

/** Parameters, intermediates, and a final byte. */
function controlSequence(line: string, start: number, body: number): string {
  let at = body;
  while (isBetween(line, at, '\u0020', '\u003f')) at += 1;
  return isBetween(line, at, '\u0040', '\u007e') ? line.slice(start, at + 1) : line.slice(start, body);
}

/**
 * A string up to its end. One that does not end on its line must not swallow what follows; that is known from
 * `lastEnd` without looking, so that a line of nothing but beginnings costs no more than another.
 */
function swallowed(
  line: string,
  { start, body, lastEnd }: { start: number; body: number; lastEnd: number },
): string {
  if (lastEnd < body) return line.slice(start, body);
  for (let at = body; at <= lastEnd; at += 1) {
    const end = STRING_ENDS.find((text) => line.startsWith(text, at));
    if (end !== undefined) return line.slice(start, at + end.length);
  }
  return line.slice(start, body);
}

/** ESC, intermediates, and a final byte. */
function escapeSequence(line: string, start: number): string {
  let at = start + 1;
  while (isBetween(line, at, '\u0020', '\u002f')) at += 1;
  return isBetween(line, at, '\u0030', '\u007e') ? line.slice(start, at + 1) : ESC;
}

function isBetween(line: string, at: number, low: string, high: string): boolean {
  const character = line.charAt(at);
  return character >= low && character <= high;
}

/** SGR in its 7 bit form, which only colours. */
function isColour(sequence: string): boolean {
  return sequence.startsWith(`${ESC}[`) && /^[0-9;:]*m$/.test(sequence.slice(2));
}
