/**
 * `npm run simulator`: Compute Engine on this machine, in real time or faster, for people who want to look at what the
 * product does to it. Ends with Ctrl-C, and leaves nothing.
 */
import { parseArgs } from 'node:util';
import { controlPage } from './control.ts';
import { serveApi } from './http-server.ts';
import type { CreateMachine } from './machine.ts';
import { withMetadataServers } from './metadata-addresses.ts';
import { idleScript, scriptedMachine } from './scripted-machine.ts';
import { createSimulator } from './simulator.ts';
import { createRunningTime } from './time.ts';

const USAGE = `npm run simulator -- [options]
  --host ADDRESS            loopback address of the API (127.0.0.1)
  --port PORT               (9500; 0 takes any that is free)
  --project NAME            the one project that exists (demo)
  --speed FACTOR            how much faster than life (1)
  --machines KIND           scripted: they boot and idle (the default);
                            containers: they execute their start-up script, in containers of this machine's engine
  --metadata-port PORT      serves each machine's metadata on 127.0.10.N at this port; 0 takes any`;

const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '9500' },
    project: { type: 'string', default: 'demo' },
    speed: { type: 'string', default: '1' },
    machines: { type: 'string', default: 'scripted' },
    'metadata-port': { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) console.log(USAGE);
else if (['scripted', 'containers'].includes(values.machines)) await run();
else {
  console.error(`There are no machines of the kind "${values.machines}"; there are scripted and containers.`);
  process.exitCode = 2;
}

async function machines(): Promise<CreateMachine> {
  const port = values['metadata-port'];
  const onAddress = (name: string, address: string): void =>
    console.log(`${name}: metadata at http://${address}/computeMetadata/v1/`);
  if (values.machines === 'containers') {
    const { containerMachine } = await import('./container-machine.ts');
    const simulator = `goldfish-sim-${process.pid}`;
    console.log(`Its machines are containers: docker ps -a --filter label=goldfish.simulator=${simulator}`);
    return containerMachine({ simulator, metadataPort: Number(port ?? 0), onAddress });
  }
  const idle = scriptedMachine(idleScript);
  return port === undefined ? idle : withMetadataServers(idle, { port: Number(port), onAddress });
}

async function run(): Promise<void> {
  const { project } = values;
  const time = createRunningTime({ speed: Number(values.speed) });
  const createMachine = await machines();
  const simulator = createSimulator({ time, project, createMachine });
  const server = await serveApi(simulator, {
    host: values.host,
    port: Number(values.port),
    others: controlPage(simulator),
  });
  const end = async (): Promise<void> => {
    await server.close();
    await simulator.dispose();
    process.exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end());
  console.log(`The simulated Compute Engine answers at http://${server.host}:${server.port}, project ${project}.

Point a client of @google-cloud/compute at it:
  new InstancesClient({
    apiEndpoint: '${server.host}', port: ${server.port}, protocol: 'http', projectId: '${project}',
    authClient: new PassThroughClient(), // of google-auth-library: nobody is asked who they are
  })

What was called and what it costs:
  curl http://${server.host}:${server.port}/simulator
Let something go wrong (test/gce-simulator/faults.ts lists what can):
  curl http://${server.host}:${server.port}/simulator/faults -d '{"kind":"stock-out","zone":"us-central1-a","times":"always"}'
  curl -X POST http://${server.host}:${server.port}/simulator/instances/NAME/preempt     # or stop, vanish, breakHost`);
}
