/**
 * `npm run build`: compiles src/ to dist/ (imports rewritten from .ts to .js) and copies what is no code, such as
 * the SQL migrations. Everything else that ships (runtime/, sdk/, templates/, …) is used where it stands.
 */
import { spawnSync } from 'node:child_process';
import { cp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const SOURCE = join(ROOT, 'src');
const TARGET = join(ROOT, 'dist');

async function copyAssets(): Promise<number> {
  let copied = 0;
  for (const path of await readdir(SOURCE, { recursive: true })) {
    const from = join(SOURCE, path);
    if (path.endsWith('.ts') || !(await stat(from)).isFile()) continue;
    await cp(from, join(TARGET, path));
    copied += 1;
  }
  return copied;
}

await rm(TARGET, { recursive: true, force: true });
const compiler = join(ROOT, 'node_modules', '.bin', 'tsc');
const compiled = spawnSync(compiler, ['-p', 'tsconfig.build.json'], { cwd: ROOT, stdio: 'inherit' });
if (compiled.status !== 0) process.exit(compiled.status ?? 1);
const copied = await copyAssets();
console.log(`dist/ is built (${copied} files copied beside the code).`);
