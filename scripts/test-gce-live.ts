/**
 * `npm run test:gce-live`: the suite of the rented machines against a project of yours: the doctor, the demo on a machine of
 * Google Compute Engine, and the contracts of storage, Compute Engine and registry. It rents one machine of the profile
 * cpu-small (n2-standard-4, a disk of 20 GB) for less than half an hour and eight of the smallest for a minute or two, and
 * takes everything away again but the demo's image. The project is named by variables of the environment; without them
 * nothing is run, and those that are missing are named. docs/gce.md says how to make one.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { explainNeeded, MISSING } from '../test/live/live-project.ts';
import { pathWithPython } from './python-path.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const VITEST = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');

if (MISSING.length > 0) {
  console.log(`Not run: the live tests need a project of Google Cloud. Not set: ${MISSING.join(', ')}

${explainNeeded()}

Also heeded: GOLDFISH_LIVE_NETWORK, GOLDFISH_LIVE_SUBNETWORK, GOLDFISH_LIVE_EXTERNAL_ADDRESS=false,
GOLDFISH_LIVE_BASE_IMAGE; for emulators GOLDFISH_LIVE_COMPUTE_ENDPOINT, GOLDFISH_LIVE_STORAGE_ENDPOINT.
docs/gce.md says how to make all of this.`);
}
const words = ['run', '--project', 'live', '--reporter=verbose', '--allowOnly=false'];
const child = spawn(process.execPath, [VITEST, ...words, ...process.argv.slice(2)], {
  cwd: ROOT,
  stdio: ['ignore', 'inherit', 'inherit'],
  env: { ...process.env, PATH: pathWithPython(), CI: 'true', NO_COLOR: '1' },
});
child.once('close', (code) => {
  process.exitCode = code ?? 1;
});
