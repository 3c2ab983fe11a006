import { parseArgs } from 'node:util';
import { openContext } from '../context.ts';
import { supervise } from './supervise.ts';

/** The process behind the lease: `main.ts --project DIR`. Started by whoever finds work and no supervisor. */
const { values } = parseArgs({ options: { project: { type: 'string' } } });
const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
process.on('SIGHUP', () => undefined);

const context = await openContext({ root: values.project ?? process.cwd(), role: 'supervisor' });
await supervise(context, { signal: stop.signal });
await context.close();
process.exit(0);
