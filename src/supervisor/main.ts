import { parseArgs } from 'node:util';
import { openContext } from '../context.ts';
import { superviseProject } from './supervise-project.ts';

/** The process behind the lease: `main.ts --project DIR`. Started by whoever finds work and no supervisor. */
const { values } = parseArgs({ options: { project: { type: 'string' } } });
const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
process.on('SIGHUP', () => undefined);

const root = values.project ?? process.cwd();
await superviseProject(() => openContext({ root, role: 'supervisor' }), { signal: stop.signal });
process.exit(0);
