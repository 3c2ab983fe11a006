import { isJsonObject, type Json } from '../core/json.ts';
import type { Locate, Path, Problem, ProblemList } from './problem.ts';
import { descend, type YamlNode } from './yaml-node.ts';

/** A config of the earlier system in today's words, and what a reader of it should know. */
export type Modern = {
  value: Json;
  /** As the file's own, but a value that moved here is found where it was written. */
  locate: Locate;
  /** Whether a key stands in the file, here or where it moved from. */
  written(path: Path): boolean;
  notes: Problem[];
};

type Move = {
  from: Path;
  to: Path;
  /** How the value is written today. */
  convert?: (value: Json) => Json;
};

const MOVES: readonly Move[] = [
  { from: ['jobs', 'backend'], to: ['defaults', 'backend'] },
  { from: ['jobs', 'container_memory'], to: ['docker', 'memory'] },
  { from: ['jobs', 'container_cpus'], to: ['docker', 'cpus'], convert: numberFromText },
  { from: ['jobs', 'container_pids'], to: ['docker', 'pids_limit'] },
];

/** Keys of the earlier system that have no counterpart to move to, each with the sentence its reader needs. */
const GONE: Readonly<Record<string, string>> = {
  dev_repo_path: 'It is not needed: versions lie in the hidden store of the project.',
  workspaces_dir: 'It is not needed: the slots are always below workspaces/.',
  state_md: 'STATE.md arrives in a later version.',
  pre_run_review: 'It is "validation.review" now, which arrives in a later version.',
  svs: 'It is "validation" now, which arrives in a later version.',
  'jobs.infra_path': 'It is not needed: nothing is started through scripts.',
  'jobs.experiments_dir': 'It is not needed: outputs are kept under storage.local.path.',
  'local.storage': 'It is not needed: storage.local.path says where outputs are kept.',
  'local.compute': 'Its docker_socket is "docker.host" now, as unix:///…; nothing is simulated any more.',
  'local.signaling': 'It is not needed: nothing is simulated any more.',
};
const SECTIONS: ReadonlySet<string> = new Set(['jobs', 'local']);

/**
 * Reads what the earlier system called otherwise. What moved takes effect where today's key is absent; what has no
 * counterpart yet is left out. Each says so in a note. What both name is a problem: nobody could tell which counts.
 */
export function modernise(root: YamlNode, file: { locate: Locate; problems: ProblemList }): Modern {
  const { locate, problems } = file;
  const notes: Problem[] = [];
  const moved = new Map<string, Path>();
  let value = root.value;
  const has = (path: Path): boolean => descend(root, path).found;
  const note = (path: Path, message: string, hint: string): void => {
    notes.push({ ...locate(path, 'key'), message, hint });
  };

  for (const { from, to, convert } of MOVES) {
    if (!has(from)) continue;
    const [was, is] = [from.join('.'), to.join('.')];
    if (has(to)) {
      const message = `"${was}" is "${is}" now, which stands in this file too.`;
      problems.add(locate(from, 'key'), { message, hint: `Remove "${was}".` });
      continue;
    }
    const old = descend(root, from).node.value;
    value = place(value, to, convert ? convert(old) : old);
    moved.set(is, from);
    note(from, `"${was}" is "${is}" now.`, `Move it to "${is}".`);
  }
  if (has(['gcs'])) {
    if (has(['storage']))
      note(['gcs'], '"gcs" is not read: "storage" says where outputs are kept.', 'Remove it.');
    else {
      const bucket = withoutPrefixes(at(value, ['gcs']) ?? null, note);
      value = place(value, ['storage', 'gcs'], bucket);
      moved.set('storage.gcs', ['gcs']);
      note(
        ['gcs'],
        '"gcs" is "storage.gcs" now, the bucket of rented machines. Outputs are kept on this machine.',
        'Move it to "storage.gcs".',
      );
    }
  }
  value = dropGone(value, note);
  value = renameBackends({ value, moved, locate, notes });

  return {
    value,
    locate: (path, part) => locate(origin(moved, path), part),
    written: (path) => has(origin(moved, path)),
    notes,
  };
}

/** Where things lie in the bucket is not to be chosen any more. */
function withoutPrefixes(gcs: Json, note: (path: Path, message: string, hint: string) => void): Json {
  if (!isJsonObject(gcs)) return gcs;
  const rest = { ...gcs };
  for (const key of ['sources_prefix', 'artifacts_prefix']) {
    if (!Object.hasOwn(gcs, key)) continue;
    note(
      ['gcs', key],
      `"gcs.${key}" is not read: sources and outputs are kept on this machine.`,
      'Remove it.',
    );
    delete rest[key];
  }
  return rest;
}

/** Where a path of today stands in the file. */
function origin(moved: ReadonlyMap<string, Path>, path: Path): Path {
  for (const [to, from] of moved) {
    const length = to.split('.').length;
    if (path.slice(0, length).join('.') === to) return [...from, ...path.slice(length)];
  }
  return path;
}

/** Leaves the sections of the past out; whatever of them did not move gets its sentence. */
function dropGone(value: Json, note: (path: Path, message: string, hint: string) => void): Json {
  if (!isJsonObject(value)) return value;
  const moved = new Set(MOVES.map(({ from }) => from.join('.')));
  const tell = (path: Path): void => {
    const name = path.join('.');
    if (moved.has(name)) return;
    const why = Object.hasOwn(GONE, name) ? (GONE[name] ?? '') : 'It has no counterpart.';
    note(path, `"${name}" is not read any more. ${why}`, 'Remove it.');
  };
  const rest = { ...value };
  for (const section of SECTIONS) {
    const inner = at(value, [section]);
    for (const key of isJsonObject(inner) ? Object.keys(inner) : []) tell([section, key]);
    delete rest[section];
  }
  for (const key of Object.keys(value)) {
    if (!Object.hasOwn(GONE, key)) continue;
    tell([key]);
    delete rest[key];
  }
  delete rest['gcs'];
  return rest;
}

/** `local` was its word for containers on this machine. */
function renameBackends(work: {
  value: Json;
  moved: ReadonlyMap<string, Path>;
  locate: Locate;
  notes: Problem[];
}): Json {
  const { moved, locate, notes } = work;
  let { value } = work;
  for (const path of [['defaults', 'backend'], ...profileBackends(value)]) {
    if (at(value, path) !== 'local') continue;
    value = place(value, path, 'docker');
    notes.push({
      ...locate(origin(moved, path)),
      message: 'The backend "local" is called "docker" now, and is read as that.',
      hint: 'Write docker, or process for stages without containers.',
    });
  }
  return value;
}

function profileBackends(value: Json): string[][] {
  const profiles = at(value, ['profiles']);
  return isJsonObject(profiles) ? Object.keys(profiles).map((name) => ['profiles', name, 'backend']) : [];
}

function at(value: Json, path: Path): Json | undefined {
  let current: Json | undefined = value;
  for (const part of path) {
    if (!isJsonObject(current) || !Object.hasOwn(current, part)) return undefined;
    current = current[part];
  }
  return current;
}

/** A copy with one value set; what stands in its way is left for the schema to refuse. */
function place(value: Json, path: Path, item: Json): Json {
  const [first, ...rest] = path;
  if (first === undefined) return item;
  if (value !== null && !isJsonObject(value)) return value;
  const inside = value ?? {};
  const child = Object.hasOwn(inside, first) ? (inside[first] ?? null) : null;
  return { ...inside, [first]: place(child, rest, item) };
}

function numberFromText(value: Json): Json {
  return typeof value === 'string' && /^\d+(\.\d+)?$/.test(value) ? Number(value) : value;
}
