import type { Json } from '../core/json.ts';
import type { Locate, Path, Place } from './problem.ts';

/** A value read from a file, with the place of each part of it. Offsets count UTF-16 units from the file's start. */
export type YamlNode = {
  value: Json;
  /** Of the value; of the key where the value is left out. */
  offset: number;
  keyOffset: number | undefined;
  /** The text of a plain (unquoted) scalar, where writing it as a value could have changed it: `010`, `1.0`, `True`. */
  plain: string | undefined;
  children: ReadonlyMap<string | number, YamlNode>;
};

/** Follows a path as far as it goes. */
export function descend(root: YamlNode, path: Path): { node: YamlNode; found: boolean } {
  let node = root;
  for (const part of path) {
    const next = node.children.get(part);
    if (next === undefined) return { node, found: false };
    node = next;
  }
  return { node, found: true };
}

/** Places within one file. A missing key is pointed at by the key that should hold it. */
export function nodeLocator(root: YamlNode, placeOf: (offset: number) => Place): Locate {
  return (path, part = 'value') => {
    const { node, found } = descend(root, path);
    const key = part === 'key' || !found;
    return placeOf(key ? (node.keyOffset ?? node.offset) : node.offset);
  };
}
