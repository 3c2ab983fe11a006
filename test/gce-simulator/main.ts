/**
 * `npm run simulator`: Compute Engine on this machine, in real time or faster, for people who want to look at what the
 * product does to it. Ends with Ctrl-C, and leaves nothing.
 */
import { parseArgs } from 'node:util';
import { controlPage } from './control.ts';
import { serveApi } from './http-server.ts';
import { withMetadataServers } from './metadata-addresses.ts';
import { idleScript, scriptedMachine } from './scripted-machine.ts';
import { createSimulator } from './simulator.ts';
import { createRunningTime } from './time.ts';

const USAGE = `npm run simulator -- [options]
  --host ADDRESS            loopback address of the API (127.0.0.1)
  --port PORT               (9500; 0 takes any that is free)
  --project NAME            the one project that exists (demo)
  --speed FACTOR            how much faster than life (1)
  --metadata-port PORT      serves each machine's metadata on 127.0.10.N at this port; 0 takes any`;

const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '9500' },
    project: { type: 'string', default: 'demo' },
    speed: { type: 'string', default: '1' },
    'metadata-port': { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) console.log(USAGE);
else await run();

async function run(): Promise<void> {
  const { project } = values;
  const idle = scriptedMachine(idleScript);
  const metadataPort = values['metadata-port'];
  const createMachine =
    metadataPort === undefined
      ? idle
      : withMetadataServers(idle, {
          port: Number(metadataPort),
          onAddress: (name, address) =>
            console.log(`${name}: metadata at http://${address}/computeMetadata/v1/`),
        });
  const time = createRunningTime({ speed: Number(values.speed) });
  const simulator = createSimulator({ time, project, createMachine });
  const server = await serveApi(simulator, {
    host: values.host,
    port: Number(values.port),
    others: controlPage(simulator),
  });
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
