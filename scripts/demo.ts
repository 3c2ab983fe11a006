import { parseArgs } from 'node:util';
import { runDemo } from '../src/cli/demo/demo.ts';

/** `npm run demo [-- --folder DIR] [-- --json]` */
const { values } = parseArgs({
  options: { folder: { type: 'string' }, json: { type: 'boolean', default: false } },
});
process.exitCode = await runDemo({
  json: values.json,
  ...(values.folder === undefined ? {} : { folder: values.folder }),
});
