import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { contractMachine } from '../../contracts/compute-calls-kit.ts';
import { serveApi } from '../../gce-simulator/http-server.ts';
import { createSimulator } from '../../gce-simulator/simulator.ts';
import { createRunningTime } from '../../gce-simulator/time.ts';
import { startEmulatorProcess } from '../../support/gcs-emulator-process.ts';
import { hasRentals, NEEDS_RENTALS } from './needs.ts';
import { startRegistry } from './registry-process.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const BUCKET = 'live-bucket';
/** Simulated seconds per second. */
const SPEED = 60;

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** `npm run test:gce-live` with those variables and no other of its own. */
async function liveSuite(variables: Record<string, string>, ...words: string[]) {
  const others = Object.entries(process.env).filter(([name]) => !/^(GOLDFISH_LIVE_|VITEST)/.test(name));
  const child = spawn(process.execPath, ['scripts/test-gce-live.ts', ...words], {
    cwd: ROOT,
    env: { ...Object.fromEntries(others), ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const code = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await code, said: `${out}${err}` };
}

describe('the suite against a real project', () => {
  it('is skipped by name where none is configured, with all that it needs', async () => {
    const { code, said } = await liveSuite({ GOLDFISH_LIVE_ZONES: 'us-central1-a' });
    const missing =
      'GOLDFISH_LIVE_PROJECT, GOLDFISH_LIVE_BUCKET, GOLDFISH_LIVE_REGISTRY, GOLDFISH_LIVE_SERVICE_ACCOUNT, GOLDFISH_LIVE_IMAGE';
    expect(said).toContain(`Not run: the live tests need a project of Google Cloud. Not set: ${missing}`);
    expect(said).toContain(
      `rented machines of a real project (needs a project of Google Cloud: set ${missing})`,
    );
    expect(said).toContain(`kept by a real project (needs a project of Google Cloud: set ${missing})`);
    expect(said).toMatch(/Test Files +2 skipped \(2\)/);
    expect(code).toBe(0);
  });

  it.skipIf(!hasRentals)(
    `holds other endpoints to the contracts, and leaves nothing there${NEEDS_RENTALS}`,
    async () => {
      const emulator = await startEmulatorProcess();
      ends.push(() => emulator.stop());
      await emulator.makeBucket(BUCKET);
      const registry = await startRegistry();
      ends.push(() => registry.stop());
      const time = createRunningTime({ speed: SPEED });
      const simulator = createSimulator({ time, createMachine: contractMachine });
      ends.push(() => simulator.dispose());
      const api = await serveApi(simulator, { host: '127.0.0.1', port: 0 });
      ends.push(() => api.close());
      const { code, said } = await liveSuite(
        {
          GOLDFISH_LIVE_PROJECT: 'demo',
          GOLDFISH_LIVE_ZONES: 'us-central1-a, us-east1-b',
          GOLDFISH_LIVE_BUCKET: BUCKET,
          GOLDFISH_LIVE_REGISTRY: `${registry.host}/project`,
          GOLDFISH_LIVE_SERVICE_ACCOUNT: 'worker@demo.iam.gserviceaccount.com',
          GOLDFISH_LIVE_IMAGE: 'projects/debian-cloud/global/images/family/debian-12',
          GOLDFISH_LIVE_COMPUTE_ENDPOINT: `http://127.0.0.1:${api.port}`,
          GOLDFISH_LIVE_STORAGE_ENDPOINT: emulator.url,
        },
        'test/live/contracts.test.ts',
      );
      expect(said).not.toMatch(/✗|×|↓/);
      for (const name of ['Cloud Storage', 'Compute Engine', 'Artifact Registry']) {
        expect(said).toContain(
          `✓ |live| test/live/contracts.test.ts > the contracts, kept by a real project > ${name}`,
        );
      }
      expect({ code, said }).toMatchObject({ code: 0 });
      const bills = simulator.ledger.usages();
      expect(bills).toHaveLength(8);
      expect(new Set(bills.map(({ machineType }) => machineType))).toEqual(new Set(['e2-micro']));
      expect(simulator.instances()).toEqual([]);
      const { items = [] } = (await (await fetch(`${emulator.url}/storage/v1/b/${BUCKET}/o`)).json()) as {
        items?: unknown[];
      };
      expect(items).toEqual([]);
    },
  );
});
