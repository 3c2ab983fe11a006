import { invalidField } from './api-error.ts';

/**
 * The filter expressions of list calls: comparisons (`=`, `!=`, `<`, `<=`, `>`, `>=`, `:`, and the older `eq` and `ne` with
 * a regular expression), joined by AND, OR, NOT or `-`, parentheses, or nothing at all, which means AND.
 * `labels.x:*` asks whether a label is there; `name:abc*` for a beginning; `name:abc` for a part.
 */
export type Filter = (resource: object) => boolean;

/** Throws the ApiError of an expression that cannot be read. */
export function parseFilter(text: string | null | undefined): Filter {
  if (text === null || text === undefined || text.trim() === '') return () => true;
  const tokens = tokenize(text);
  const state = { tokens, at: 0, refuse: () => refusal(text) };
  const filter = parseAny(state);
  if (state.at < tokens.length) throw refusal(text);
  return filter;
}

function refusal(text: string): Error {
  return invalidField('filter', text, 'Invalid list filter expression.');
}

type Token = { kind: 'word' | 'text' | 'operator' | 'bracket'; value: string };
type State = { tokens: Token[]; at: number; refuse: () => Error };

const TOKEN = /\s*(?:("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(!=|<=|>=|=|<|>|:)|([()])|([^\s()=<>!:"']+))/y;

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  const end = text.trimEnd().length;
  while (TOKEN.lastIndex < end) {
    const match = TOKEN.exec(text);
    if (!match) throw refusal(text);
    const [, quoted, operator, bracket, word] = match;
    if (quoted !== undefined) tokens.push({ kind: 'text', value: unquote(quoted) });
    else if (operator !== undefined) tokens.push({ kind: 'operator', value: operator });
    else if (bracket !== undefined) tokens.push({ kind: 'bracket', value: bracket });
    else if (word !== undefined) tokens.push(...splitWord(word));
  }
  return tokens;
}

/** Other backslashes are those of a regular expression. */
function unquote(quoted: string): string {
  return quoted.slice(1, -1).replaceAll(/\\(["'\\])/g, '$1');
}

/** `-status` is NOT status; times and links hold colons, which the pattern above takes for operators. */
function splitWord(word: string): Token[] {
  if (word.length > 1 && word.startsWith('-') && /^-[a-z]/i.test(word)) {
    return [
      { kind: 'word', value: 'NOT' },
      { kind: 'word', value: word.slice(1) },
    ];
  }
  return [{ kind: 'word', value: word }];
}

function isWord(token: Token | undefined, value: string): boolean {
  return token?.kind === 'word' && token.value === value;
}

function parseAny(state: State): Filter {
  const parts = [parseAll(state)];
  while (isWord(state.tokens[state.at], 'OR')) {
    state.at += 1;
    parts.push(parseAll(state));
  }
  return (resource) => parts.some((part) => part(resource));
}

function parseAll(state: State): Filter {
  const parts = [parseOne(state)];
  for (;;) {
    const token = state.tokens[state.at];
    if (isWord(token, 'AND')) state.at += 1;
    else if (!token || isWord(token, 'OR') || token.value === ')') break;
    parts.push(parseOne(state));
  }
  return (resource) => parts.every((part) => part(resource));
}

function parseOne(state: State): Filter {
  const token = state.tokens[state.at];
  if (isWord(token, 'NOT')) {
    state.at += 1;
    const inner = parseOne(state);
    return (resource) => !inner(resource);
  }
  if (token?.kind !== 'bracket') return parseComparison(state);
  if (token.value !== '(') throw state.refuse();
  state.at += 1;
  const inner = parseAny(state);
  if (state.tokens[state.at]?.value !== ')') throw state.refuse();
  state.at += 1;
  return inner;
}

function parseComparison(state: State): Filter {
  const [field, operator, value] = state.tokens.slice(state.at, state.at + 3);
  if (
    field?.kind !== 'word' ||
    !operator ||
    !value ||
    value.kind === 'bracket' ||
    value.kind === 'operator'
  ) {
    throw state.refuse();
  }
  const known =
    operator.kind === 'operator' || (operator.kind === 'word' && /^(eq|ne)$/.test(operator.value));
  if (!known) throw state.refuse();
  state.at += 3;
  const compare = comparison(operator.value, value.value);
  return (resource) => compare(fieldOf(resource, field.value));
}

/** `labels.run`, `scheduling.provisioningModel`: a path into the resource. Undefined where there is nothing. */
function fieldOf(resource: object, path: string): unknown {
  let value: unknown = resource;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
  }
  return value;
}

function comparison(operator: string, wanted: string): (value: unknown) => boolean {
  switch (operator) {
    case '=':
      return (value) => value !== undefined && String(value) === wanted;
    case '!=':
      return (value) => value === undefined || String(value) !== wanted;
    case 'eq':
      return (value) => value !== undefined && new RegExp(`^(?:${wanted})$`).test(String(value));
    case 'ne':
      return (value) => value === undefined || !new RegExp(`^(?:${wanted})$`).test(String(value));
    case ':':
      return (value) => value !== undefined && has(String(value), wanted);
    default:
      return (value) => value !== undefined && ordered(operator, compareValues(String(value), wanted));
  }
}

function has(value: string, wanted: string): boolean {
  if (wanted === '*') return true;
  if (wanted.endsWith('*')) return value.startsWith(wanted.slice(0, -1));
  return value.toLowerCase().includes(wanted.toLowerCase());
}

/** By time where both are times, by number where both are numbers, else by letters. */
function compareValues(left: string, right: string): number {
  const isTime = /^\d{4}-\d\d-\d\dT/;
  const [a, b] =
    isTime.test(left) && isTime.test(right)
      ? [Date.parse(left), Date.parse(right)]
      : [Number(left), Number(right)];
  if (!Number.isNaN(a) && !Number.isNaN(b)) return a - b;
  return left < right ? -1 : left > right ? 1 : 0;
}

function ordered(operator: string, difference: number): boolean {
  if (operator === '<') return difference < 0;
  if (operator === '<=') return difference <= 0;
  return operator === '>' ? difference > 0 : difference >= 0;
}
