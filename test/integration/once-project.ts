import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type McpSession, makeFolder, removeFolder, startSession } from './mcp-session.ts';
import { endWork } from './mcp-work.ts';

/**
 * A project whose stage `work` tells of each execution in a file outside of the project, and goes on only when its gate
 * is open: what Goldfish says can be held against what happened.
 */
export type OnceProject = {
  folder: string;
  session: McpSession;
  /** Another server of the same project. */
  open(): Promise<McpSession>;
  /** Run ids in the order in which they were executed, those of one value of `mark`. */
  executed(mark?: string): string[];
  openGate(mark: string): Promise<void>;
  inSlot(file: string): string;
  end(): Promise<void>;
};

/** `mark` tells calls apart; `fails` lets an attempt end badly, `kills` takes its wrapper away. */
const WORK = `import json, os, signal, sys, time

with open(os.environ["GOLDFISH_CONFIG"]) as file:
    told = json.load(file)
config, run = told["config"], told["run"]
mark = config.get("mark", "none")
line = "%s %s %d\\n" % (mark, run["run_id"], run["attempt"])
descriptor = os.open(config["ledger"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
os.write(descriptor, line.encode())
os.close(descriptor)
if config.get("kills") == run["attempt"]:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)
if config.get("fails"):
    sys.exit("ERROR: it was told to fail")
with open(os.path.join(os.environ["GOLDFISH_CONTROL"], "metrics.jsonl"), "a") as file:
    file.write(json.dumps({"progress": 0.5, "message": "half way"}) + "\\n")
    file.write(json.dumps({"name": "score", "value": config.get("score", 1), "time": time.time()}) + "\\n")
limit = time.monotonic() + 300
while config.get("gated") and not os.path.exists(config["gates"] + "/" + mark):
    if time.monotonic() > limit:
        sys.exit("nobody opened the gate")
    time.sleep(0.01)
with open(told["outputs"]["made"]["path"], "w") as file:
    file.write(mark)
`;

const CONFIG = `project_name: once
defaults: { backend: process }
process: { sandbox: none, max_parallel: 4 }
`;

export async function openOnce(config = CONFIG): Promise<OnceProject> {
  const folder = await makeFolder();
  const outside = await mkdtemp(join(tmpdir(), 'goldfish-outside-'));
  const ledger = join(outside, 'ledger');
  await writeFile(join(folder, 'goldfish.yaml'), config);
  const session = await startSession(folder);
  const sessions = [session];
  const inSlot = (file: string): string => join(folder, 'workspaces/w1', file);
  const reason = 'See that it is done once';
  await session.call('create_workspace', { name: 'once', goal: 'Do everything once', reason });
  await session.call('mount', { workspace: 'once', reason });
  for (const stage of ['generate', 'summarize']) await rm(inSlot(`configs/${stage}.yaml`));
  await writeFile(
    inSlot('pipeline.yaml'),
    'name: once\nstages:\n  - name: work\n    outputs: { made: file }\n',
  );
  await writeFile(inSlot('modules/work.py'), WORK);
  await writeFile(inSlot('configs/work.yaml'), JSON.stringify({ ledger, gates: outside }));
  return {
    folder,
    session,
    open: async () => {
      const another = await startSession(folder);
      sessions.push(another);
      return another;
    },
    executed: (mark) => {
      const lines = existsSync(ledger) ? readFileSync(ledger, 'utf8').trimEnd().split('\n') : [];
      const rows = lines.map((line) => line.split(' '));
      return rows.filter(([of]) => mark === undefined || of === mark).map(([, runId = '']) => runId);
    },
    openGate: (mark) => writeFile(join(outside, mark), ''),
    inSlot,
    end: async () => {
      await endWork(session);
      for (const each of sessions) await each.close();
      await removeFolder(folder);
      await removeFolder(outside);
    },
  };
}

/** Arguments of a call that only its mark tells from others. */
export function marked(mark: string, config: object = {}, args: object = {}): Record<string, unknown> {
  return {
    workspace: 'once',
    reason: 'See that it is done once',
    config_override: { work: { mark, ...config } },
    ...args,
  };
}
