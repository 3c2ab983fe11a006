import { createHash } from 'node:crypto';
import { findNode, type MetadataFolder, renderJson, renderText } from './metadata-tree.ts';
import type { SimulatedTime } from './time.ts';

/** What a program inside the machine asks for, below `/computeMetadata/v1/`. */
export type MetadataQuery = {
  /** `instance/attributes/job`; folders end in `/`. */
  path: string;
  recursive?: boolean;
  alt?: 'json' | 'text';
};

/** `location`: of a folder that was asked for without its slash. */
export type MetadataAnswer = {
  status: 200 | 301 | 404;
  body: string;
  contentType: string;
  etag: string;
  location?: string;
};

export type Wait = {
  /** What the caller has seen; another one is answered at once. Absent: whatever is there now has been seen. */
  lastEtag?: string;
  /** Answers with what there is when this is over. Seconds; endless where absent. */
  timeoutSeconds?: number;
};

export type Metadata = {
  answer(query: MetadataQuery): MetadataAnswer;
  /** Answers when the value is another one. */
  waitForChange(query: MetadataQuery, wait?: Wait): Promise<MetadataAnswer>;
  /** The text at a path; undefined where there is none. */
  value(path: string): string | undefined;
  /** Called after each change of anything; what comes back ends that. */
  onChange(listener: () => void): () => void;
  /** The simulator has changed something that the tree shows. */
  changed(): void;
};

const MISSING = 'The requested URL was not found on this server.';

export function createMetadata({
  tree,
  time,
}: {
  /** Everything, as it is now. */
  tree: () => MetadataFolder;
  time: SimulatedTime;
}): Metadata {
  const listeners = new Set<() => void>();
  const answer = (query: MetadataQuery): MetadataAnswer => render(tree(), query);
  return {
    answer,
    value: (path) => {
      const { status, body } = answer({ path });
      return status === 200 ? body : undefined;
    },
    waitForChange: (query, { lastEtag, timeoutSeconds } = {}) =>
      new Promise((resolve) => {
        const first = answer(query);
        const seen = lastEtag ?? first.etag;
        if (first.status !== 200 || first.etag !== seen) return resolve(first);
        let callOff = (): void => undefined;
        const end = (last: MetadataAnswer): void => {
          listeners.delete(look);
          callOff();
          resolve(last);
        };
        const look = (): void => {
          const now = answer(query);
          if (now.status !== 200 || now.etag !== seen) end(now);
        };
        listeners.add(look);
        if (timeoutSeconds !== undefined)
          callOff = time.after(timeoutSeconds * 1000, () => end(answer(query)));
      }),
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    changed: () => {
      for (const listener of [...listeners]) listener();
    },
  };
}

function render(tree: MetadataFolder, { path, recursive = false, alt }: MetadataQuery): MetadataAnswer {
  const node = findNode(tree, path);
  const isFolder = typeof node === 'object';
  const asFolder = path.endsWith('/') || path === '';
  if (node === undefined || (asFolder && !isFolder)) return finished(404, MISSING, 'text/html');
  if (isFolder && !asFolder && !recursive) {
    return { ...finished(301, '', 'text/html'), location: `/computeMetadata/v1/${path}/` };
  }
  const json = alt === 'json' || (recursive && alt !== 'text');
  // JSON of a folder is the whole folder.
  if (json) return finished(200, renderJson(node), 'application/json');
  return finished(200, renderText(node, recursive), 'application/text');
}

function finished(status: MetadataAnswer['status'], body: string, contentType: string): MetadataAnswer {
  const etag = createHash('sha256').update(`${status} ${body}`).digest('hex').slice(0, 16);
  return { status, body, contentType, etag };
}
