import {
  type Alias,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Pair,
  type ParsedNode,
  type Scalar,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import type { Json } from '../core/json.ts';
import { clip } from '../core/names.ts';
import type { Place, ProblemList } from './problem.ts';
import type { YamlNode } from './yaml-node.ts';

/** Counted after aliases are followed, so that a few lines cannot unfold into gigabytes. */
const MAX_NODES = 100_000;
const MAX_DEPTH = 50;

export const TOO_DEEP = {
  message: `The values are nested more than ${MAX_DEPTH} levels deep.`,
  hint: 'Flatten the structure; an alias must not contain itself.',
};

type Reading = {
  placeOf: (offset: number) => Place;
  problems: ProblemList;
  anchors: Map<string, ParsedNode>;
  nodes: number;
  /** Set once something was too deep or too much, so that it is said once. */
  stopped: boolean;
};

/** Turns parsed YAML into JSON values with places. What JSON cannot hold becomes a problem and reads as null. */
export function readRoot(contents: ParsedNode | null, base: Pick<Reading, 'placeOf' | 'problems'>): YamlNode {
  const reading: Reading = { ...base, anchors: new Map(), nodes: 0, stopped: false };
  return readNode(reading, contents, { depth: 0, keyOffset: undefined, fallback: 0 });
}

type At = { depth: number; keyOffset: number | undefined; fallback: number };

function leaf(at: At, offset: number, value: Json, plain?: string): YamlNode {
  return { value, offset, keyOffset: at.keyOffset, plain, children: new Map() };
}

function readNode(reading: Reading, node: ParsedNode | null, at: At): YamlNode {
  const offset = node?.range[0] ?? at.fallback;
  if (node === null || reading.stopped) return leaf(at, offset, null);
  reading.nodes += 1;
  if (reading.nodes > MAX_NODES || at.depth > MAX_DEPTH) {
    reading.stopped = true;
    const tooMany = {
      message: `The file unfolds to more than ${MAX_NODES} values.`,
      hint: 'Use fewer aliases, or keep data in files of their own.',
    };
    reading.problems.add(reading.placeOf(offset), at.depth > MAX_DEPTH ? TOO_DEEP : tooMany);
    return leaf(at, offset, null);
  }
  if (!isAlias(node) && node.anchor !== undefined) reading.anchors.set(node.anchor, node);
  if (isAlias(node)) return readAlias(reading, node, { ...at, fallback: offset });
  if (isMap(node)) return readMapping(reading, node, { ...at, fallback: offset });
  if (isSeq(node)) return readList(reading, node, { ...at, fallback: offset });
  return readScalar(reading, node, { ...at, fallback: offset });
}

/** The value of the anchor, standing where the alias stands. */
function readAlias(reading: Reading, alias: Alias.Parsed, at: At): YamlNode {
  const target = reading.anchors.get(alias.source);
  if (target === undefined) {
    const message = `There is no anchor "&${clip(alias.source)}" before this alias.`;
    reading.problems.add(reading.placeOf(at.fallback), { message, hint: 'Write the value out.' });
    return leaf(at, at.fallback, null);
  }
  return { ...readNode(reading, target, { ...at, depth: at.depth + 1 }), offset: at.fallback };
}

function readMapping(reading: Reading, map: YAMLMap.Parsed, at: At): YamlNode {
  const children = new Map<string | number, YamlNode>();
  for (const pair of map.items) {
    if (reading.stopped || reading.problems.full()) break;
    const key = readKey(reading, pair, children);
    if (key === undefined) continue;
    const keyOffset = pair.key.range[0];
    const child = readNode(reading, pair.value, { depth: at.depth + 1, keyOffset, fallback: keyOffset });
    // A value left out (`key:`) has a place after the colon, maybe on the next line: its key says more.
    const omitted = isScalar(pair.value) && pair.value.source === '' && pair.value.type === 'PLAIN';
    children.set(key, omitted ? { ...child, offset: keyOffset } : child);
  }
  const value = Object.fromEntries([...children].map(([key, child]) => [key, child.value]));
  return { ...leaf(at, at.fallback, value), children };
}

/** The key as text, or undefined where the pair is refused. */
function readKey(
  reading: Reading,
  pair: Pair<ParsedNode, ParsedNode | null>,
  seen: ReadonlyMap<string | number, YamlNode>,
): string | undefined {
  const place = reading.placeOf(pair.key.range[0]);
  const key = isScalar(pair.key) ? pair.key.value : undefined;
  if (typeof key !== 'string' || key === '') {
    reading.problems.add(place, {
      message: 'A key must be plain text.',
      hint: 'Write the key out, without brackets or alias.',
    });
    return undefined;
  }
  if (key === '__proto__' || key === '<<') {
    const what =
      key === '<<' ? 'Merge keys ("<<") are not supported.' : 'The key "__proto__" is not allowed.';
    const hint = key === '<<' ? 'Write the keys out.' : 'Use another name.';
    reading.problems.add(place, { message: what, hint });
    return undefined;
  }
  const first = seen.get(key);
  if (first !== undefined) {
    const { line } = reading.placeOf(first.keyOffset ?? first.offset);
    const message = `The key "${clip(key)}" stands here a second time; the first is on line ${line}.`;
    reading.problems.add(place, { message, hint: 'Keep one of the two.' });
    return undefined;
  }
  return key;
}

function readList(reading: Reading, list: YAMLSeq.Parsed, at: At): YamlNode {
  const children = new Map<number, YamlNode>();
  for (const [index, item] of list.items.entries()) {
    if (reading.stopped || reading.problems.full()) break;
    children.set(
      index,
      readNode(reading, item, { depth: at.depth + 1, keyOffset: undefined, fallback: at.fallback }),
    );
  }
  return {
    ...leaf(
      at,
      at.fallback,
      [...children.values()].map((child) => child.value),
    ),
    children,
  };
}

function readScalar(reading: Reading, scalar: Scalar.Parsed, at: At): YamlNode {
  const { value, source } = scalar;
  const place = reading.placeOf(at.fallback);
  if (value === null || typeof value === 'boolean' || typeof value === 'string') {
    return leaf(at, at.fallback, value, typeof value === 'string' ? undefined : source);
  }
  if (typeof value === 'number') {
    const exact = Number.isFinite(value) && (!/^[-+]?\d+$/.test(source) || Number.isSafeInteger(value));
    if (exact) return leaf(at, at.fallback, value, source);
    const message = `The number ${clip(source)} cannot be kept exactly.`;
    reading.problems.add(place, { message, hint: 'Put it in quotes, and convert it in the stage.' });
    return leaf(at, at.fallback, null);
  }
  const message = `"${clip(source)}" is not a text, number, true, false or null.`;
  reading.problems.add(place, { message, hint: 'Put it in quotes.' });
  return leaf(at, at.fallback, null);
}
