import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { hashJson, type JsonObject, sha256 } from '../../../src/core/json.ts';
import type { Layout } from '../../../src/core/layout.ts';

/**
 * A stage that tells what it does, and what it was given to do it with, in a file Goldfish knows nothing of, and makes
 * outputs whose content is known beforehand. In a container no path outside is to be had: there the file lies among the
 * run's checkpoints, and on a rented machine it tells aloud, in its log; engine-starts.ts counts beside it. It ends badly
 * where anything of the kill points, or of the programs that have them, reaches it.
 */
const TELLING_STAGE = `import hashlib, json, os, sys, time

with open(os.environ["GOLDFISH_CONFIG"]) as file:
    told = json.load(file)
config, run = told["config"], told["run"]
ledger = config.get("ledger") or os.path.join(os.environ["GOLDFISH_CHECKPOINTS"], "ledger")


def hash_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def hash_of_json(value):
    return hash_of(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def hash_of_file(path):
    with open(path, "rb") as file:
        return hash_of(file.read())


def code():
    paths = [os.path.join(folder, name) for folder, _, names in os.walk(".") for name in names]
    return {os.path.relpath(path): hash_of_file(path) for path in paths}


def given():
    inputs = {name: hash_of_file(value["path"]) for name, value in told["inputs"].items()}
    return " ".join(map(hash_of_json, (code(), config, inputs)))


def tell(word, more=""):
    line = "%s %s %d %d %s\\n" % (word, run["run_id"], run["attempt"], time.monotonic_ns(), more)
    if config.get("aloud"):
        return print("told", line, end="", flush=True)
    descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(descriptor, line.encode())
    os.close(descriptor)


tell("begin", given())
strange = [name for name in os.environ if name == "NODE_OPTIONS" or name.startswith("GOLDFISH_KILL")]
if strange:
    sys.exit("these are no business of a stage: %s" % strange)
print("I am %s" % run["stage"])
with open(os.path.join(os.environ["GOLDFISH_CONTROL"], "metrics.jsonl"), "a") as file:
    for step in range(3):
        file.write(json.dumps({"name": "loss", "step": step, "value": 1.0 / (step + 1), "time": time.time()}) + "\\n")
if config.get("saves"):
    import goldfish
    goldfish.save_checkpoint("half", {"batch": config.get("batch", 0)}, step=1)
limit = time.monotonic() + 120
while config.get("gate") and not os.path.exists(config["gate"]) and time.monotonic() < limit:
    time.sleep(config.get("pause", 0.01))
time.sleep(config.get("seconds", 0))
for name, output in told["outputs"].items():
    with open(output["path"], "w") as file:
        file.write(("%s of %s, batch %s\\n" % (name, run["stage"], config.get("batch", 0))) * 100)
tell("end")
sys.exit(config.get("exits", {}).get(str(run["attempt"]), 0))
`;

/** The hash that an output of the stage must have. */
export function outputHash(made: { output: string; stage: string; batch: number }): string {
  return sha256(`${made.output} of ${made.stage}, batch ${made.batch}\n`.repeat(100));
}

export const OUTPUTS = ['left', 'right'] as const;
export const METRIC_POINTS = 3;

/** A pipeline of telling stages beside each other, or each behind the one before. */
export function tellingPipeline(
  stages: readonly string[],
  { chained }: { chained: boolean },
): Record<string, string> {
  const rows = stages.map((name, at) => {
    const before = chained ? stages[at - 1] : undefined;
    const inputs = before === undefined ? '' : `    inputs: { a: { from_stage: ${before}, signal: left } }\n`;
    return `  - name: ${name}\n${inputs}    outputs: { ${OUTPUTS.map((output) => `${output}: file`).join(', ')} }\n`;
  });
  const modules = stages.map((name) => [`modules/${name}.py`, TELLING_STAGE] as const);
  const configs = stages.map((name) => [`configs/${name}.yaml`, 'batch: 0\n'] as const);
  return {
    'pipeline.yaml': `name: telling\nstages:\n${rows.join('')}`,
    ...Object.fromEntries([...modules, ...configs]),
  };
}

/** Hashes of what a program is given: its code folder, its config, its inputs. */
export type Given = { code: string; config: string; inputs: string };

/** `code`: path of the folder; `inputs`: hashes of their contents by name. */
export function hashGiven(given: {
  code: string;
  config: JsonObject;
  inputs: Readonly<Record<string, string>>;
}): Given {
  const { code, config, inputs } = given;
  const files = filesBelow(code).map((path) => [path, sha256(readFileSync(join(code, path)))]);
  return { code: hashJson(Object.fromEntries(files)), config: hashJson(config), inputs: hashJson(inputs) };
}

/** Paths of files, from the folder. */
export function filesBelow(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => !entry.isDirectory());
  return files.map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

export type Told = {
  word: 'begin' | 'end';
  runId: string;
  attempt: number;
  at: bigint;
  /** Of a begin. */
  given: Given;
};

/** What the stages told, in the order of the machine's own clock. */
export function readTold({ ledger, layout }: { ledger: string; layout: Layout }): Told[] {
  const inside = globSync('*/checkpoints/ledger', { cwd: layout.runs });
  const files = [ledger, ...inside.map((file) => join(layout.runs, file))];
  return files.flatMap((file) => parseTold(linesOf(file))).sort(byTime);
}

/** What they told aloud, as far as it is in the logs. */
export function readAloud({ layout }: { layout: Layout }): Told[] {
  const logs = globSync('*/*/log/*.log', { cwd: layout.runs }).map((file) => join(layout.runs, file));
  const lines = logs.flatMap(linesOf).flatMap((line) => /^\S+ o. told (.*)$/.exec(line)?.[1] ?? []);
  return parseTold(lines).sort(byTime);
}

function linesOf(file: string): string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
}

function parseTold(lines: readonly string[]): Told[] {
  return lines.filter(Boolean).map((line): Told => {
    const [word, runId = '', attempt, at = '0', code = '', config = '', inputs = ''] = line.split(' ');
    const given = { code, config, inputs };
    return { word: word === 'end' ? 'end' : 'begin', runId, attempt: Number(attempt), at: BigInt(at), given };
  });
}

function byTime(a: Told, b: Told): number {
  return a.at < b.at ? -1 : a.at > b.at ? 1 : 0;
}

/** How many of them were at work at once, at most. */
export function mostAtOnce(told: readonly Told[]): number {
  let now = 0;
  let most = 0;
  for (const { word } of told) {
    now += word === 'begin' ? 1 : -1;
    most = Math.max(most, now);
  }
  return most;
}
