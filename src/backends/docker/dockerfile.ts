/** One instruction of a Dockerfile and the line it begins on. */
export type Instruction = { line: number; keyword: string; rest: string };

/**
 * The instructions in their order: comments gone, continuations joined, the words of here-documents left to theirs.
 * The builder numbers its steps the same way, which is how a failing step finds its line.
 */
export function readInstructions(text: string): Instruction[] {
  const found: Instruction[] = [];
  const lines = text.split(/\r?\n/);
  const continuation = /^#\s*escape\s*=\s*`/i.test(lines[0] ?? '') ? '`' : '\\';
  let open: { line: number; text: string } | undefined;
  let until: string | undefined;
  for (const [index, raw] of lines.entries()) {
    if (until !== undefined) {
      if (raw.trim() === until) until = undefined;
      continue;
    }
    const row = raw.trimEnd();
    if (/^\s*(#|$)/.test(row)) continue;
    open ??= { line: index + 1, text: '' };
    if (row.endsWith(continuation)) {
      open.text += `${row.slice(0, -1)} `;
      continue;
    }
    open.text += row;
    found.push(toInstruction(open));
    until = hereDocument(open.text);
    open = undefined;
  }
  if (open) found.push(toInstruction(open));
  return found;
}

function toInstruction({ line, text }: { line: number; text: string }): Instruction {
  const [, keyword = '', rest = ''] = /^\s*(\S+)\s*(.*)$/s.exec(text) ?? [];
  return { line, keyword: keyword.toUpperCase(), rest: rest.trim() };
}

function hereDocument(text: string): string | undefined {
  return /^\s*(?:RUN|COPY|ADD)\b.*<<-?["']?(\w+)["']?/is.exec(text)?.[1];
}

/**
 * Images of FROM lines, as they are written: neither earlier stages of the same file nor `scratch`. One that depends
 * on a build argument is filled in with the argument's default.
 */
export function baseImages(text: string): { image: string; line: number }[] {
  const defaults = new Map<string, string>();
  const stages = new Set<string>(['scratch']);
  const images: { image: string; line: number }[] = [];
  let seenFrom = false;
  for (const { keyword, rest, line } of readInstructions(text)) {
    if (keyword === 'ARG' && !seenFrom) addDefault(defaults, rest);
    if (keyword !== 'FROM') continue;
    seenFrom = true;
    const words = rest.split(/\s+/).filter((word) => !word.startsWith('--'));
    const image = (words[0] ?? '').replace(
      /\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))/g,
      (_, braced: string | undefined, otherwise: string | undefined, plain: string | undefined) =>
        defaults.get(braced ?? plain ?? '') ?? otherwise ?? '',
    );
    if (image !== '' && !stages.has(image.toLowerCase())) images.push({ image, line });
    if (words[1]?.toUpperCase() === 'AS' && words[2] !== undefined) stages.add(words[2].toLowerCase());
  }
  return images;
}

function addDefault(defaults: Map<string, string>, rest: string): void {
  const [, name, value] = /^(\w+)=["']?(.*?)["']?$/.exec(rest) ?? [];
  if (name !== undefined && value !== undefined) defaults.set(name, value);
}
