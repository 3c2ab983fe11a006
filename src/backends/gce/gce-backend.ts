import type { GoldfishError } from '../../core/errors.ts';
import { livingWorkers } from '../../store/workers.ts';
import type { RunBackend } from '../port.ts';
import { LONGEST_SECONDS } from './job-request.ts';
import { launchAttempt, MAX_RANKS } from './launch.ts';
import { openRented } from './open-rented.ts';
import type { GceBackendOptions, GceDeps, Rented } from './options.ts';
import { createPuller } from './puller.ts';
import { rentedRuntime } from './runtime.ts';
import { rentedStatus } from './status.ts';
import { cleanUpAttempt, createStopper } from './stop.ts';

/** For so long a supervisor looks for machines that nobody knows, where the project has none that it knows. */
const STRANGERS_MS = 180_000;

export type GceAdapter = {
  backend: RunBackend;
  /** Brings the rows of machines and the machines together; to be called about once a second. */
  tend(options: { signal: AbortSignal }): Promise<void>;
  /** Ends what goes on beside; nothing is written afterwards. */
  close(): Promise<void>;
};

/**
 * Runs stages on rented machines of Compute Engine. The image is made here and pushed; all else goes through a bucket: the
 * machine's worker program reads what to do there, and writes there what comes of it.
 */
export function createGceBackend(options: GceBackendOptions): GceAdapter {
  let opened: Promise<Rented> | undefined;
  const rented = (): Promise<Rented> => {
    opened ??= openRented(options).catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return opened;
  };
  const own: GceDeps = { ...options, rented };
  const deps = { ...own, puller: createPuller(own), stopper: createStopper(own) };
  const { gce, images, db } = options;
  const until = options.clock.monotonic() + STRANGERS_MS;
  return {
    backend: {
      name: 'gce',
      capabilities: {
        gpu: Object.values(gce.profiles).some(({ gpus }) => gpus > 0),
        spot: true,
        isolation: 'machine',
        maxNodes: MAX_RANKS,
        longestSeconds: LONGEST_SECONDS,
        liveLogs: 'pulled',
        hasLaunchDelay: true,
        ackTimeoutSeconds: 1,
      },
      probe: async (call) => {
        if (gce.problem !== undefined) return { available: false, why: gce.problem };
        const stray = await options.markProblem();
        if (stray !== null) return { available: false, why: stray.message, ...hintOf(stray) };
        const here = await images.probe(call);
        const zones = gce.zones.join(', ');
        if (here.available) return { available: true, why: `machines of ${gce.projectId} in ${zones}` };
        const why = `images for rented machines are made by an engine on this one, and ${here.why}`;
        return { ...here, why };
      },
      build: (request, call) => rentedRuntime(images, request, call),
      launch: (spec, call) => launchAttempt(deps, spec, call),
      getStatus: (handles, call) => Promise.all(handles.map((handle) => rentedStatus(deps, handle, call))),
      terminate: (handle, request) => deps.stopper.terminate(handle, request),
      cleanup: (handle, call) => cleanUpAttempt(deps, handle, call),
    },
    tend: async (call) => {
      if (gce.problem !== undefined) return;
      if (options.clock.monotonic() > until && livingWorkers(db).length === 0) return;
      await (await rented()).pool.reconcile(call);
    },
    close: () => deps.puller.close(),
  };
}

function hintOf({ hint }: GoldfishError): { hint?: string } {
  return hint === undefined ? {} : { hint };
}
