/** A directed graph as "node → the nodes it needs". Every key is a node; needs that are no keys are ignored. */
export type Needs = ReadonlyMap<string, readonly string[]>;

/** Nodes so that each stands after everything it needs; ties in insertion order. Nodes on a cycle are left out. */
export function topologicalOrder(needs: Needs): string[] {
  const order: string[] = [];
  const placed = new Set<string>();
  let grew = true;
  while (grew) {
    grew = false;
    for (const [node, requirements] of needs) {
      if (placed.has(node)) continue;
      if (requirements.some((need) => needs.has(need) && !placed.has(need))) continue;
      placed.add(node);
      order.push(node);
      grew = true;
    }
  }
  return order;
}

/** One cycle as a closed walk (`[a, b, a]`), or undefined. */
export function findCycle(needs: Needs): string[] | undefined {
  const placed = new Set(topologicalOrder(needs));
  const start = [...needs.keys()].find((node) => !placed.has(node));
  if (start === undefined) return undefined;
  // Every unplaced node needs an unplaced one, so walking always ends on a cycle.
  const walk: string[] = [];
  let node: string | undefined = start;
  while (node !== undefined && !walk.includes(node)) {
    walk.push(node);
    node = needs.get(node)?.find((need) => needs.has(need) && !placed.has(need));
  }
  return node === undefined ? undefined : [...walk.slice(walk.indexOf(node)), node];
}

/** Everything that needs `node`, directly or not, without itself. */
export function dependents(needs: Needs, node: string): Set<string> {
  const found = new Set<string>();
  const queue = [node];
  for (let current = queue.pop(); current !== undefined; current = queue.pop()) {
    for (const [candidate, requirements] of needs) {
      if (candidate === node || found.has(candidate) || !requirements.includes(current)) continue;
      found.add(candidate);
      queue.push(candidate);
    }
  }
  return found;
}
