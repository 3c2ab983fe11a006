import { notFound } from './api-error.ts';
import { inUse } from './disks.ts';
import { page } from './listing.ts';
import { type DiskResource, lastPart, resourceOf } from './resources.ts';
import type { Call, Route } from './routes.ts';

const ONE = 'projects/{project}/zones/{zone}/disks/{disk}';

function diskOf({ world, params }: Call): DiskResource {
  const { zone = '', disk = '' } = params;
  const found = world.disks.get(`${zone}/${disk}`);
  if (!found) throw notFound(`projects/${world.project}/zones/${zone}/disks/${disk}`);
  return found;
}

export const diskRoutes: Route[] = [
  {
    id: 'disks.list',
    method: 'GET',
    pattern: 'projects/{project}/zones/{zone}/disks',
    handle: ({ world, params, query }) => {
      const { zone = '' } = params;
      const disks = [...world.disks.values()].filter((disk) => lastPart(disk.zone) === zone);
      const { items, ...rest } = page(structuredClone(disks), query);
      return {
        kind: 'compute#diskList',
        id: `projects/${world.project}/zones/${zone}/disks`,
        ...(items.length > 0 && { items }),
        ...rest,
      };
    },
  },
  { id: 'disks.get', method: 'GET', pattern: ONE, handle: (call) => structuredClone(diskOf(call)) },
  {
    id: 'disks.delete',
    method: 'DELETE',
    pattern: ONE,
    handle: (call) => {
      const { operations, time, timings, disks } = call.world;
      const before = operations.ofRequest(call.requestId);
      if (before) return structuredClone(before.resource);
      const disk = diskOf(call);
      if (disk.users) throw inUse(disk);
      const { zone = '' } = call.params;
      const operation = operations.open({
        zone,
        type: 'delete',
        method: 'disks.delete',
        target: { resource: resourceOf(disk.selfLink), id: disk.id, name: disk.name },
        requestId: call.requestId,
      });
      time.after(timings.pendingMs, () => {
        operations.run(operation);
        time.after(timings.deleteMs, () => {
          disks.delete(`${zone}/${disk.name}`);
          operations.finish(operation);
        });
      });
      return structuredClone(operation.resource);
    },
  },
];
