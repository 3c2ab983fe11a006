import { ApiError } from '../support/google-api-error.ts';
import { invalidField, notFound, notReady } from './api-error.ts';
import { ZONES } from './catalog.ts';
import { insertInstance } from './insert.ts';
import {
  deleteInstance,
  type Request,
  resetInstance,
  setLabels,
  setMetadata,
  startInstance,
  stopInstance,
} from './instance-operations.ts';
import { aggregate, page } from './listing.ts';
import type { Operation } from './operations.ts';
import { type InstanceResource, lastPart, link, type OperationResource, resourceOf } from './resources.ts';
import type { Call, Route } from './routes.ts';
import type { Instance, World } from './world.ts';

const ONE = 'projects/{project}/zones/{zone}/instances/{instance}';

function instanceOf({ world, params }: Call): Instance {
  const { zone = '', instance: name = '' } = params;
  const instance = world.instances.get(`${zone}/${name}`);
  if (instance && instance.shownFrom <= world.time.now()) return instance;
  throw notFound(`projects/${world.project}/zones/${zone}/instances/${name}`);
}

/** As it is now; what is shown later does not change what was answered. */
function listed(world: World): InstanceResource[] {
  return [...world.instances.values()]
    .filter(({ listedFrom }) => listedFrom <= world.time.now())
    .map(({ resource }) => structuredClone(resource));
}

/**
 * The answer of a call that changes something. A request id that was seen before answers with its operation as it is now,
 * and nothing is done a second time.
 */
function once(call: Call, act: () => Operation): OperationResource {
  const operation = call.world.operations.ofRequest(call.requestId) ?? act();
  return structuredClone(operation.resource);
}

function change(
  verb: string,
  act: (world: World, instance: Instance, request: Request) => Operation,
  route: Pick<Route, 'method' | 'pattern'> = { method: 'POST', pattern: `${ONE}/${verb}` },
): Route {
  return {
    id: `instances.${verb}`,
    ...route,
    handle: (call) => once(call, () => act(call.world, instanceOf(call), call)),
  };
}

export const instanceRoutes: Route[] = [
  {
    id: 'instances.insert',
    method: 'POST',
    pattern: 'projects/{project}/zones/{zone}/instances',
    handle: (call) => once(call, () => insertInstance(call.world, call.params['zone'] ?? '', call)),
  },
  {
    id: 'instances.list',
    method: 'GET',
    pattern: 'projects/{project}/zones/{zone}/instances',
    handle: ({ world, params, query }) => {
      const { zone = '' } = params;
      const found = page(
        listed(world).filter((resource) => lastPart(resource.zone) === zone),
        query,
      );
      const { items, ...rest } = found;
      return {
        kind: 'compute#instanceList',
        id: `projects/${world.project}/zones/${zone}/instances`,
        // An empty list has no items, not an empty array.
        ...(items.length > 0 && { items }),
        ...rest,
        selfLink: link(`projects/${world.project}/zones/${zone}/instances`),
      };
    },
  },
  {
    id: 'instances.aggregatedList',
    method: 'GET',
    pattern: 'projects/{project}/aggregated/instances',
    handle: ({ world, query }) => {
      const zones = Object.keys(ZONES);
      const unreachable = zones.filter((zone) => world.faults.take('zone-unreachable', { zone }));
      if (unreachable.length > 0 && query.get('returnPartialSuccess') !== 'true') throw backendError();
      const reachable = listed(world).filter(({ zone }) => !unreachable.includes(lastPart(zone)));
      const keyOf = ({ zone, name }: InstanceResource): string => `${lastPart(zone)}/${name}`;
      return aggregate({
        kind: 'compute#instanceAggregatedList',
        id: `projects/${world.project}/aggregated/instances`,
        field: 'instances',
        pages: page(reachable, query, keyOf),
        scopeOf: ({ zone }) => lastPart(zone),
        zones,
        unreachable,
      });
    },
  },
  {
    id: 'instances.get',
    method: 'GET',
    pattern: ONE,
    handle: (call) => structuredClone(instanceOf(call).resource),
  },
  change('delete', deleteInstance, { method: 'DELETE', pattern: ONE }),
  change('stop', stopInstance),
  change('start', startInstance),
  change('reset', resetInstance),
  change('setMetadata', setMetadata),
  change('setLabels', setLabels),
  {
    id: 'instances.getSerialPortOutput',
    method: 'GET',
    pattern: `${ONE}/serialPort`,
    handle: (call) => {
      const instance = instanceOf(call);
      const resource = resourceOf(instance.resource.selfLink);
      const port = call.query.get('port') ?? '1';
      if (!/^[1-4]$/.test(port)) throw invalidField('port', port, 'Must be between 1 and 4, inclusive.');
      const start = Number(call.query.get('start') ?? 0);
      if (!Number.isInteger(start)) throw invalidField('start', call.query.get('start'), 'Must be a number.');
      // A machine that is off has no serial port: who wants its last words reads before.
      if (!instance.power) throw notReady(resource);
      const read = port === '1' ? instance.serial.read(start) : { contents: '', start: 0, next: 0 };
      return {
        kind: 'compute#serialPortOutput',
        contents: read.contents,
        start: String(read.start),
        next: String(read.next),
        selfLink: link(`${resource}/serialPort`),
      };
    },
  },
];

export function backendError(): ApiError {
  return new ApiError(503, 'backendError', 'Backend Error');
}
