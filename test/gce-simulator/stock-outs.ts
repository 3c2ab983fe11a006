import { ApiError } from '../support/google-api-error.ts';
import { ZONES } from './catalog.ts';
import type { FaultOf } from './faults.ts';
import type { OperationFailure } from './operations.ts';

/** What was asked for where nothing is left. */
export type Wanted = {
  project: string;
  zone: string;
  machineType: string;
  accelerators: { type: string; count: number }[];
};

const UNAVAILABLE = 503;

function lacksResources({ project, zone }: Wanted): string {
  return `The zone 'projects/${project}/zones/${zone}' does not have enough resources available to fulfill the request.`;
}

/** What newer answers carry beside code and message. */
function details(wanted: Wanted, zonesAvailable: string[]): unknown[] {
  const attachment = wanted.accelerators.map(({ type, count }) => `${type}:${count}`).join(',');
  const withAccelerators = wanted.accelerators
    .map(({ type, count }) => ` with ${count} ${type} accelerator(s)`)
    .join('');
  const elsewhere =
    zonesAvailable.length > 0
      ? ` Consider trying your request in the ${zonesAvailable.join(', ')} zone(s), which currently has capacity to accommodate your request.`
      : '';
  return [
    {
      help: {
        links: [
          {
            description: 'Troubleshooting documentation',
            url: 'https://cloud.google.com/compute/docs/resource-error',
          },
        ],
      },
    },
    {
      localizedMessage: {
        locale: 'en-US',
        message:
          `A ${wanted.machineType} VM instance${withAccelerators} is currently unavailable in the ${wanted.zone} zone.${elsewhere} ` +
          'Alternatively, you can try your request again with a different VM hardware configuration or at a later time. ' +
          'For more information, see the troubleshooting documentation.',
      },
    },
    {
      errorInfo: {
        domain: 'compute.googleapis.com',
        reason: 'resource_availability',
        metadatas: {
          attachment,
          vmType: wanted.machineType,
          zone: wanted.zone,
          zonesAvailable: zonesAvailable.join(','),
        },
      },
    },
  ];
}

function failure(code: string, message: string, errorDetails?: unknown[]): OperationFailure {
  return { httpStatus: UNAVAILABLE, errors: [{ code, message, ...(errorDetails && { errorDetails }) }] };
}

/**
 * How an operation ends for want of machines. The codes and sentences are those that tools and people quote from the
 * service; some do not say "resource pool" at all, and the last one says so of what no other zone can help with either.
 * Throws the ApiError of a request that is refused at once.
 */
export function stockOut(wording: FaultOf<'stock-out'>['wording'], wanted: Wanted): OperationFailure {
  const message = lacksResources(wanted);
  const others = Object.keys(ZONES).filter(
    (zone) => zone !== wanted.zone && ZONES[zone]?.includes(wanted.machineType),
  );
  switch (wording) {
    case 'pool-exhausted':
      return failure(
        'ZONE_RESOURCE_POOL_EXHAUSTED',
        `${message}  Try a different zone, or try again later.`,
        details(wanted, []),
      );
    case 'pool-exhausted-resource-type':
      return failure('ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS', `${message}  '(resource type:compute)'.`);
    case 'pool-exhausted-state':
      return failure(
        'ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS',
        `${message}  'NULL:0/NULL:0/NULL:0 (state:STOCKOUT, sub-state:STOCKOUT, resource type:compute)'.`,
        details(wanted, []),
      );
    case 'pool-exhausted-other-zones':
      return failure(
        'ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS',
        `${message}  '(resource type:compute)'.`,
        details(wanted, others.slice(0, 2)),
      );
    case 'region-pool-exhausted':
      return failure('REGION_RESOURCE_POOL_EXHAUSTED', message);
    case 'stockout':
      return failure('STOCKOUT', `${message} Try a different zone, or try again later.`);
    case 'preempted-at-start':
      return failure('UNSUPPORTED_OPERATION', 'Instance failed to start due to preemption.');
    case 'refused-at-once':
      throw new ApiError(UNAVAILABLE, 'insufficientCapacity', message);
    case 'incompatible-under-this-code':
      return {
        ...failure(
          'ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS',
          `[pd-standard, ${wanted.machineType}] features are not compatible for creating instance.`,
        ),
        httpStatus: 400,
      };
  }
}
