import { join, relative, sep } from 'node:path';

/** Every path of a project. Pure: nothing is created or read here. */
export type Layout = ReturnType<typeof projectLayout>;

/**
 * @param root      absolute path of the folder with goldfish.yaml
 * @param stateDir  absolute path of the private state; `<root>/.goldfish` unless `state_dir` moves it
 */
export function projectLayout(root: string, stateDir: string = join(root, '.goldfish')) {
  const run = (runId: string): string => join(stateDir, 'runs', runId);
  return {
    root,
    stateDir,
    config: join(root, 'goldfish.yaml'),
    slots: join(root, 'workspaces'),
    slot: (slot: string): string => join(root, 'workspaces', slot),

    database: join(stateDir, 'goldfish.db'),
    /** The hidden bare repository and one git index per slot. */
    versionStore: join(stateDir, 'versions.git'),
    slotIndex: (slot: string): string => join(stateDir, 'slots', `${slot}.index`),
    slotLock: (slot: string): string => join(stateDir, 'slots', `${slot}.lock`),
    /** Ignored files of a hibernated workspace, back in the slot at the next mount. */
    asides: join(stateDir, 'aside'),
    aside: (workspace: string): string => join(stateDir, 'aside', workspace),
    /** One shared read-only checkout per tree. */
    checkouts: join(stateDir, 'code'),
    checkout: (tree: string): string => join(stateDir, 'code', tree),
    /** Virtual environments by key. */
    environments: join(stateDir, 'environments'),
    /** What is known of images by their ids, and locks of builds. */
    images: join(stateDir, 'images'),
    /** The stage library for Node, where Node looks for it from code and scratch folders: above both. */
    nodeLibrary: join(stateDir, 'node_modules', 'goldfish'),
    objects: join(stateDir, 'objects'),
    /** Stored folders as plain folders, by content; read only, made when first needed. */
    folders: join(stateDir, 'folders'),
    folder: (hash: string): string => join(stateDir, 'folders', hash.replace('sha256:', '')),
    logs: join(stateDir, 'log'),
    supervisorLog: join(stateDir, 'log', 'supervisor.log'),
    serverLog: join(stateDir, 'log', 'server.log'),
    /** What must not outlive an operation; what a kill left is taken by gc after a day. */
    scratch: join(stateDir, 'scratch'),

    /** Held while unneeded things are removed. */
    gcLock: join(stateDir, 'gc.lock'),
    runs: join(stateDir, 'runs'),
    run,
    attempt: (runId: string, attempt: number): AttemptLayout => attemptLayout(run(runId), attempt),
    /** A path as results show it: relative to the root, with forward slashes. */
    shown: (path: string): string => relative(root, path).split(sep).join('/'),
  };
}

export type AttemptLayout = ReturnType<typeof attemptLayout>;

/** The folder of one attempt. Everything of a run is in 0700 folders below `runs/<run>/`. */
function attemptLayout(runDir: string, attempt: number) {
  const dir = join(runDir, `${attempt}`);
  return {
    dir,
    /** What the run wrapper is asked to do; no secrets in it. */
    spec: join(dir, 'spec.json'),
    /** What the wrapper says of itself at start: pids, start times, boot id. */
    wrapper: join(dir, 'wrapper.json'),
    /** The one authoritative result document, written last and atomically. */
    result: join(dir, 'exit.json'),
    /** The document behind GOLDFISH_CONFIG. */
    config: join(dir, 'config.json'),
    inputs: join(dir, 'inputs'),
    outputs: join(dir, 'outputs'),
    control: join(dir, 'control'),
    metrics: join(dir, 'control', 'metrics.jsonl'),
    heartbeat: join(dir, 'control', 'heartbeat'),
    /** What each rank has of its own; rank 0 has the folders of the attempt. */
    rank: (rank: number) => {
      const own = rank === 0 ? dir : join(dir, 'ranks', `${rank}`);
      return {
        dir: own,
        config: join(own, 'config.json'),
        control: join(own, 'control'),
        heartbeat: join(own, 'control', 'heartbeat'),
        outputs: join(own, 'outputs'),
        temp: join(own, 'tmp'),
      };
    },
    stop: join(dir, 'control', 'stop'),
    temp: join(dir, 'tmp'),
    /** Log segments `<first byte offset>.log`; see docs/adr. */
    log: join(dir, 'log'),
    /** Shared by all attempts of the run. */
    checkpoints: join(runDir, 'checkpoints'),
  };
}
