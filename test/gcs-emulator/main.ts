/**
 * `node test/gcs-emulator/main.ts [--host 127.0.0.1] [--port 0]`: the emulator as a program. Its first line is JSON,
 * `{"url": "http://…"}`; it ends with its standard input or a signal.
 */
import { parseArgs } from 'node:util';
import { GcsEmulator } from './emulator.ts';

const { values } = parseArgs({
  options: { host: { type: 'string', default: '127.0.0.1' }, port: { type: 'string', default: '0' } },
});
const emulator = await GcsEmulator.start({ host: values.host, port: Number(values.port) });
console.log(JSON.stringify({ url: emulator.url }));
process.stdin.resume().once('end', () => void emulator.stop().then(() => process.exit(0)));
