import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '../../../src/core/json.ts';
import type { Layout } from '../../../src/core/layout.ts';

/**
 * A stage that tells what it does in a file Goldfish knows nothing of, and makes outputs whose content is known
 * beforehand. In a container no path outside is to be had: there the file lies among the run's checkpoints.
 * It ends badly where anything of the kill points, or of the programs that have them, reaches it.
 */
const TELLING_STAGE = `import json, os, sys, time

with open(os.environ["GOLDFISH_CONFIG"]) as file:
    told = json.load(file)
config, run = told["config"], told["run"]
ledger = config.get("ledger") or os.path.join(os.environ["GOLDFISH_CHECKPOINTS"], "ledger")


def tell(word):
    line = "%s %s %d %d\\n" % (word, run["run_id"], run["attempt"], time.monotonic_ns())
    descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(descriptor, line.encode())
    os.close(descriptor)


tell("begin")
strange = [name for name in os.environ if name == "NODE_OPTIONS" or name.startswith("GOLDFISH_KILL")]
if strange:
    sys.exit("these are no business of a stage: %s" % strange)
print("I am %s" % run["stage"])
with open(os.path.join(os.environ["GOLDFISH_CONTROL"], "metrics.jsonl"), "a") as file:
    for step in range(3):
        file.write(json.dumps({"name": "loss", "step": step, "value": 1.0 / (step + 1), "time": time.time()}) + "\\n")
limit = time.monotonic() + 120
while config.get("gate") and not os.path.exists(config["gate"]) and time.monotonic() < limit:
    time.sleep(0.01)
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

export type Told = { word: 'begin' | 'end'; runId: string; attempt: number; at: bigint };

/** What the stages told, in the order of the machine's own clock. */
export function readTold({ ledger, layout }: { ledger: string; layout: Layout }): Told[] {
  const inside = globSync('*/checkpoints/ledger', { cwd: layout.runs });
  const files = [ledger, ...inside.map((file) => join(layout.runs, file))];
  const lines = files.flatMap((file) => (existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []));
  const told = lines.filter(Boolean).map((line): Told => {
    const [word, runId = '', attempt, at = '0'] = line.split(' ');
    return { word: word === 'end' ? 'end' : 'begin', runId, attempt: Number(attempt), at: BigInt(at) };
  });
  return told.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
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
