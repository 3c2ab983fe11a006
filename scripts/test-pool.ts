/**
 * `npm run test:pool`: ten thousand random steps against the pool on simulated time, with every edge of the table of workers
 * and every fault at least twenty times, and what the pool says of money held to the bill of the simulator. `-- --steps N`
 * tries more or fewer, `-- --seed N` repeats an earlier run. A few of the steps are part of `npm test`.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const VITEST = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');

const { values } = parseArgs({
  options: { steps: { type: 'string', default: '10000' }, seed: { type: 'string' } },
});
for (const [name, text] of Object.entries(values)) {
  if (/^\d{1,9}$/.test(text)) continue;
  console.error(`--${name} takes a whole number, not "${text}".`);
  process.exit(2);
}
const words = ['run', '--project', 'unit', '--reporter=verbose', 'test/pool/random-life.test.ts'];
const child = spawn(process.execPath, [VITEST, ...words], {
  cwd: ROOT,
  stdio: ['ignore', 'inherit', 'inherit'],
  env: {
    ...process.env,
    CI: 'true',
    NO_COLOR: '1',
    GOLDFISH_POOL_STEPS: values.steps,
    ...(values.seed === undefined ? {} : { GOLDFISH_POOL_SEED: values.seed }),
  },
});
child.once('close', (code) => {
  process.exitCode = code ?? 1;
});
