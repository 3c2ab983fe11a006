import type { GceProfile } from '../../config/gce-profiles.ts';
import type { Clock } from '../../core/clock.ts';
import { GoldfishError } from '../../core/errors.ts';
import type { MachineList, MachineName, MachineSight, WorkerProvider } from '../../pool/port.ts';
import { searchCapacity } from './capacity-search.ts';
import { classifyFailure, isComputeFailure } from './classify-failure.ts';
import { type ComputeCalls, type InstanceFacts, type InstanceList, NO_CREDENTIALS } from './compute-calls.ts';
import { instanceBody, LABEL_PROJECT, type MachineSettings } from './instance-body.ts';
import { requestIdOf } from './request-id.ts';

export type GceProviderOptions = {
  calls: ComputeCalls;
  clock: Clock;
  settings: MachineSettings;
  profiles: Readonly<Record<string, GceProfile>>;
  /** Where machines are rented; looked at one by one, with those where some are known, only where a list of all fails. */
  zones: readonly string[];
  pricePerHour: (of: { profile: GceProfile; zone: string; model: 'standard' | 'spot' }) => number | null;
};

const PREEMPTED = 'operationType="compute.instances.preempted"';

/** Machines of Compute Engine, under the label of one project. */
export function createGceProvider(options: GceProviderOptions): WorkerProvider {
  const { calls, clock, settings, profiles, zones } = options;
  const filter = `labels.${LABEL_PROJECT}=${settings.project}`;
  return {
    name: 'gce',
    create: (request, call) =>
      translated('ask for a machine', () => {
        const profile = profiles[request.profile];
        if (profile === undefined) throw new Error(`there is no profile ${request.profile}`);
        const { id, profile: profileName, maxSeconds, singleUse } = request;
        const deps = {
          calls,
          clock,
          body: (place: { zone: string; model: 'standard' | 'spot' }) =>
            instanceBody(settings, { id, profileName, profile, maxSeconds, singleUse, ...place }),
          pricePerHour: (place: { zone: string; model: 'standard' | 'spot' }) =>
            options.pricePerHour({ profile, ...place }),
        };
        return searchCapacity(deps, request, call);
      }),
    list: ({ zones: known = [], ...call } = {}) => {
      const all = [...new Set([...zones, ...known])];
      return translated('list the machines', () => listMachines({ calls, filter, zones: all }, call));
    },
    delete: ({ id, zone }, call = {}) =>
      translated('delete a machine', async () => {
        // Not the id of an earlier request: one that never came to an end is asked for anew.
        const requestId = requestIdOf('delete', id, zone, clock.now());
        await calls.deleteInstance({ zone, name: id, requestId }, call);
      }),
    preempted: (zone, call = {}) =>
      translated('tell which machines were taken back', async () => {
        const operations = await calls.listOperations({ zone, filter: PREEMPTED }, call);
        return new Set(operations.flatMap(({ targetLink }) => machineOf(targetLink ?? '') ?? []));
      }),
    console: ({ id, zone }: MachineName, call = {}) =>
      calls.serialOutput({ zone, name: id }, call).catch((error: unknown) => {
        if (isComputeFailure(error)) return '';
        throw error;
      }),
  };
}

/** The name in a link to a machine. */
function machineOf(link: string): string | undefined {
  return /\/instances\/([^/]+)$/.exec(link)?.[1];
}

type Listing = { calls: ComputeCalls; filter: string; zones: readonly string[] };

/** One call for all zones, which leaves out those that do not answer. Where it is refused as a whole, each is asked. */
async function listMachines(listing: Listing, call: { signal?: AbortSignal }): Promise<MachineList> {
  const { calls, filter, zones } = listing;
  const { instances, silentZones } = await calls.listInstances({ filter }, call).catch((error: unknown) => {
    if (!isComputeFailure(error) || error.status !== 503) throw error;
    return listZoneByZone(listing, call);
  });
  if (silentZones.length > 0 && zones.every((zone) => silentZones.includes(zone)))
    throw new GoldfishError('BACKEND_UNAVAILABLE', {
      message: 'No zone answers.',
      retryable: true,
    });
  return { machines: instances.map(toSight), silentZones };
}

async function listZoneByZone(
  { calls, filter, zones }: Listing,
  call: { signal?: AbortSignal },
): Promise<InstanceList> {
  const lists = await Promise.all(
    zones.map(async (zone) => {
      try {
        return await calls.listInstances({ zone, filter }, call);
      } catch (error) {
        if (!isComputeFailure(error) || classifyFailure(error) !== 'passing') throw error;
        return { instances: [], silentZones: [zone] };
      }
    }),
  );
  return {
    instances: lists.flatMap(({ instances }) => instances),
    silentZones: lists.flatMap(({ silentZones }) => silentZones),
  };
}

const POWER: Readonly<Record<string, MachineSight['power']>> = {
  PROVISIONING: 'coming',
  STAGING: 'coming',
  RUNNING: 'on',
  REPAIRING: 'on',
  STOPPING: 'going',
  PENDING_STOP: 'on',
  SUSPENDING: 'off',
  SUSPENDED: 'off',
  TERMINATED: 'off',
};

function toSight({ name, zone, status }: InstanceFacts): MachineSight {
  // A state that a later version of the service has is none to end a machine for.
  return { id: name, zone: zone.slice(zone.lastIndexOf('/') + 1), power: POWER[status] ?? 'on' };
}

/** In the caller's words; what passes may be asked again. */
async function translated<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isComputeFailure(error)) throw error;
    if (error.reason === NO_CREDENTIALS) {
      throw new GoldfishError('BACKEND_UNAVAILABLE', {
        message: error.message,
        hint: 'Run "gcloud auth application-default login", or give this machine a service account; then repeat the call.',
        cause: error,
      });
    }
    throw new GoldfishError('BACKEND_UNAVAILABLE', {
      message: `Compute Engine could not ${what}: ${error.message}`,
      details: { ...(error.status === undefined ? {} : { status: error.status }) },
      retryable: classifyFailure(error) === 'passing',
      cause: error,
    });
  }
}
