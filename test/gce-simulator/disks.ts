import { ApiError } from '../support/google-api-error.ts';
import { alreadyExists, notFound } from './api-error.ts';
import type { DiskBody } from './bodies.ts';
import { type InstancePlan, imageOf } from './instance-rules.ts';
import { type AttachedDisk, type DiskResource, lastPart, link, resourceOf } from './resources.ts';
import type { Instance, World } from './world.ts';

const USUAL_SIZE_GB = '10';

/** The name of a new disk: the boot disk is called as its instance, further ones by their number behind. */
function diskName(instance: string, disk: DiskBody, index: number): string {
  return disk.initializeParams?.diskName ?? (index === 0 ? instance : `${instance}-${index}`);
}

/**
 * Makes the disks of a new instance and attaches them, those that exist already included. Throws the ApiError of a name
 * that is taken (a disk that outlived its machine takes its name) and of a disk that is missing or in use; then nothing
 * has been made.
 */
export function attachDisks(
  world: World,
  { zone, name, plan }: { zone: string; name: string; plan: InstancePlan },
): AttachedDisk[] {
  const { body } = plan;
  const resource = (disk: string): string => `projects/${world.project}/zones/${zone}/disks/${disk}`;
  const user = link(`projects/${world.project}/zones/${zone}/instances/${name}`);
  const made: DiskResource[] = [];
  const joined: DiskResource[] = [];
  for (const [index, disk] of body.disks.entries()) {
    if (disk.type === 'SCRATCH') continue;
    if (disk.source !== undefined) {
      const existing = world.disks.get(`${zone}/${lastPart(disk.source)}`);
      if (!existing) throw notFound(resource(lastPart(disk.source)));
      if (existing.users) throw inUse(existing);
      joined.push(existing);
      continue;
    }
    const itsName = diskName(name, disk, index);
    if (world.disks.has(`${zone}/${itsName}`)) throw alreadyExists(resource(itsName));
    made.push(newDisk(world, { zone, name: itsName, disk, user }));
  }
  for (const disk of made) world.disks.set(`${zone}/${disk.name}`, disk);
  for (const disk of joined) disk.users = [user];
  return body.disks.map((disk, index) => {
    const itsName = disk.source !== undefined ? lastPart(disk.source) : diskName(name, disk, index);
    const existing = world.disks.get(`${zone}/${itsName}`);
    return {
      kind: 'compute#attachedDisk',
      type: disk.type,
      mode: disk.mode,
      ...(disk.type === 'PERSISTENT' && { source: link(resource(itsName)) }),
      deviceName: disk.deviceName ?? `persistent-disk-${index}`,
      index,
      boot: disk.boot,
      autoDelete: disk.autoDelete,
      diskSizeGb: existing?.sizeGb ?? '375',
    };
  });
}

function newDisk(
  world: World,
  { zone, name, disk, user }: { zone: string; name: string; disk: DiskBody; user: string },
): DiskResource {
  const asked = disk.initializeParams;
  const image = asked?.sourceImage === undefined ? undefined : imageOf('sourceImage', asked.sourceImage);
  const type = lastPart(asked?.diskType ?? 'pd-standard');
  return {
    kind: 'compute#disk',
    id: world.nextId(),
    name,
    creationTimestamp: world.stamp(),
    sizeGb: asked?.diskSizeGb ?? (image ? String(image.diskSizeGb) : USUAL_SIZE_GB),
    zone: link(`projects/${world.project}/zones/${zone}`),
    type: link(`projects/${world.project}/zones/${zone}/diskTypes/${type}`),
    status: 'READY',
    selfLink: link(`projects/${world.project}/zones/${zone}/disks/${name}`),
    ...(image && { sourceImage: link(`projects/${image.project}/global/images/${image.name}`) }),
    users: [user],
    ...(asked?.labels && { labels: asked.labels }),
  };
}

/** The instance is gone: its disks go with it, or stay without a user. */
export function releaseDisks(world: World, instance: Instance): void {
  for (const { source, autoDelete } of instance.resource.disks) {
    if (source === undefined) continue;
    const key = `${instance.zone}/${lastPart(source)}`;
    if (autoDelete) world.disks.delete(key);
    else delete world.disks.get(key)?.users;
  }
}

export function inUse(disk: DiskResource): ApiError {
  return new ApiError(
    400,
    'resourceInUseByAnotherResource',
    `The disk resource '${resourceOf(disk.selfLink)}' is already being used by '${resourceOf(disk.users?.[0] ?? '')}'`,
  );
}
