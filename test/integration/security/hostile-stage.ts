/** What a stage tries, by its last word. Run as `python -m modules.attack ACT OUTSIDE ELSEWHERE`. */
export const ATTACK = `
import json, os, socket, sys
act, outside, elsewhere = sys.argv[1:4]
outputs, control = os.environ["GOLDFISH_OUTPUTS"], os.environ["GOLDFISH_CONTROL"]
checkpoints, temp = os.environ["GOLDFISH_CHECKPOINTS"], os.environ["TMPDIR"]
canary = os.path.join(outside, "canary.txt")
report, tree = os.path.join(outputs, "report.json"), os.path.join(outputs, "tree")
os.makedirs(tree, exist_ok=True)

def instead(path, target):
    if os.path.lexists(path):
        os.rename(path, path + ".was")
    os.symlink(target, path)

if act != "report-link":
    with open(report, "w") as file:
        json.dump({"act": act}, file)
if act == "report-link": os.symlink(canary, report)
if act == "report-pipe": os.remove(report); os.mkfifo(report)
if act == "report-folder": os.remove(report); os.mkdir(report)
if act == "report-second-name": os.remove(report); os.link(elsewhere, report)
if act == "tree-absolute": os.symlink(canary, os.path.join(tree, "x"))
if act == "tree-upward": os.symlink("../../../../../../../../../../.." + canary, os.path.join(tree, "x"))
if act == "tree-chain": os.symlink("y", os.path.join(tree, "x")); os.symlink(outside, os.path.join(tree, "y"))
if act == "tree-dangling": os.symlink(os.path.join(outside, "new"), os.path.join(tree, "x"))
if act == "tree-pipe": os.mkfifo(os.path.join(tree, "x"))
if act == "tree-socket": os.chdir(tree); socket.socket(socket.AF_UNIX).bind("x")
if act == "tree-line-break": open(os.path.join(tree, "a\\nb"), "w").close()
if act == "tree-no-text": open(os.path.join(os.fsencode(tree), b"\\xff"), "w").close()
if act == "tree-link": instead(tree, os.path.join(outside, "folder"))
if act == "outputs-link": instead(outputs, os.path.join(outside, "folder"))
if act == "control-link": instead(control, os.path.join(outside, "folder"))
if act == "temp-link": instead(temp, os.path.join(outside, "folder"))
if act == "metrics-link": os.symlink(canary, os.path.join(control, "metrics.jsonl"))
if act == "metrics-pipe": os.mkfifo(os.path.join(control, "metrics.jsonl"))
if act == "metrics-folder": os.mkdir(os.path.join(control, "metrics.jsonl"))
if act == "stop-link": os.symlink(os.path.join(outside, "new"), os.path.join(control, "stop"))
if act == "checkpoint-link": os.symlink(os.path.join(outside, "folder"), os.path.join(checkpoints, "00000001-x"))
if act == "checkpoint-manifest":
    os.mkdir(os.path.join(checkpoints, "00000001-x"))
    with open(os.path.join(checkpoints, "00000001-x", "manifest.json"), "w") as file:
        json.dump({"name": "x", "step": 1, "files": [{"path": "../../../../../../../outside/canary.txt", "sha256": "0" * 64}]}, file)
if act == "heartbeat-link": os.symlink(canary, os.path.join(control, "heartbeat"))
print("done", act)
if act in ("stop-link", "checkpoint-link", "checkpoint-manifest"): sys.exit(3)
`;

const BAD = (why: string): { cause: string; says: string } => ({
  cause: 'output_missing',
  says: `The program ended with 0, but ${why}.`,
});
const GOOD = { cause: 'success', says: null };
const OWN = { cause: 'exit_nonzero', says: 'The program ended with exit code 3.' };
const TREE = 'declared output "tree"';
const REPORT = 'declared output "report" is not a regular file';

/** How each ends. `bare`: possible only where nothing stands between the stage and the machine. */
export const ACTS: Readonly<Record<string, { cause: string; says: string | null; bare?: true }>> = {
  'report-link': BAD(REPORT),
  'report-pipe': BAD(REPORT),
  'report-folder': BAD(REPORT),
  'report-second-name': { ...GOOD, bare: true },
  'tree-absolute': BAD(`${TREE}: x is a link that leaves the folder`),
  'tree-upward': BAD(`${TREE}: x is a link that leaves the folder`),
  'tree-chain': BAD(`${TREE}: x is a link that leaves the folder`),
  'tree-dangling': BAD(`${TREE}: x is a link that leaves the folder`),
  'tree-pipe': BAD(`${TREE}: x is neither a file nor a folder`),
  'tree-socket': BAD(`${TREE}: x is neither a file nor a folder`),
  'tree-line-break': BAD(`${TREE}: "a\\nb" has a line break in its name`),
  'tree-no-text': BAD(`${TREE}: "\uFFFD" has a name that is not UTF-8`),
  'tree-link': BAD(`${TREE} is not a folder`),
  'outputs-link': { ...BAD('its folder of outputs is no longer a folder'), bare: true },
  'control-link': { ...GOOD, bare: true },
  'temp-link': { ...GOOD, bare: true },
  'metrics-link': GOOD,
  'metrics-pipe': GOOD,
  'metrics-folder': GOOD,
  'stop-link': OWN,
  'checkpoint-link': OWN,
  'checkpoint-manifest': OWN,
  'heartbeat-link': GOOD,
};

/** A pipeline in which each act is a stage of its own. */
export function attackPipeline(acts: readonly string[], words: readonly string[]): string {
  const stages = acts.map((name) => ({
    name,
    command: ['python', '-m', 'modules.attack', name, ...words],
    outputs: { report: 'json', tree: 'directory' },
  }));
  return JSON.stringify({ name: 'attack', stages });
}
