import { notFound } from './api-error.ts';
import { ZONES } from './catalog.ts';
import { aggregate, page } from './listing.ts';
import { lastPart, type OperationResource } from './resources.ts';
import type { Call, Route } from './routes.ts';

const ZONAL = 'projects/{project}/zones/{zone}/operations';
const GLOBAL = 'projects/{project}/global/operations';

/** `operationType`, `targetLink` and the like are filtered as any other field. */
function list({ world, query }: Call, scope: string, operations: OperationResource[]): unknown {
  const { items, ...rest } = page(operations, query);
  return {
    kind: 'compute#operationList',
    id: `projects/${world.project}/${scope}/operations`,
    ...(items.length > 0 && { items }),
    ...rest,
  };
}

function known({ world, params }: Call, operation: OperationResource | undefined): OperationResource {
  if (operation) return operation;
  const scope = params['zone'] === undefined ? 'global' : `zones/${params['zone']}`;
  throw notFound(`projects/${world.project}/${scope}/operations/${params['operation']}`);
}

/** Nothing that is simulated is global; those routes know no operation, as the real ones would not. */
export const operationRoutes: Route[] = [
  {
    id: 'zoneOperations.list',
    method: 'GET',
    pattern: ZONAL,
    handle: (call) => {
      const { zone = '' } = call.params;
      return list(call, `zones/${zone}`, call.world.operations.views(zone));
    },
  },
  {
    id: 'zoneOperations.get',
    method: 'GET',
    pattern: `${ZONAL}/{operation}`,
    handle: (call) => {
      const { zone = '', operation = '' } = call.params;
      return known(call, call.world.operations.view(zone, operation));
    },
  },
  {
    id: 'zoneOperations.wait',
    method: 'POST',
    pattern: `${ZONAL}/{operation}/wait`,
    handle: async (call) => {
      const { zone = '', operation = '' } = call.params;
      return known(call, await call.world.operations.wait(zone, operation));
    },
  },
  { id: 'globalOperations.list', method: 'GET', pattern: GLOBAL, handle: (call) => list(call, 'global', []) },
  {
    id: 'globalOperations.get',
    method: 'GET',
    pattern: `${GLOBAL}/{operation}`,
    handle: (call) => known(call, undefined),
  },
  {
    id: 'globalOperations.wait',
    method: 'POST',
    pattern: `${GLOBAL}/{operation}/wait`,
    handle: (call) => known(call, undefined),
  },
  {
    id: 'globalOperations.aggregatedList',
    method: 'GET',
    pattern: 'projects/{project}/aggregated/operations',
    handle: ({ world, query }) =>
      aggregate({
        kind: 'compute#operationAggregatedList',
        id: `projects/${world.project}/aggregated/operations`,
        field: 'operations',
        pages: page(world.operations.views(), query, ({ zone, name }) => `${lastPart(zone)}/${name}`),
        scopeOf: ({ zone }) => lastPart(zone),
        zones: Object.keys(ZONES),
        unreachable: [],
      }),
  },
];
