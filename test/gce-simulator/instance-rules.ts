import { ApiError } from '../support/google-api-error.ts';
import { invalidField, notFound } from './api-error.ts';
import { type DiskBody, type InstanceBody, instanceBody, readBody } from './bodies.ts';
import { ATTACHABLE, IMAGES, MACHINE_TYPES, ZONES } from './catalog.ts';
import { refuseLabels, refuseMetadata } from './label-rules.ts';
import { lastPart, resourceOf, type Scheduling } from './resources.ts';
import { scheduling } from './scheduling-rules.ts';

export type Accelerator = { type: string; count: number };

/** A request for a machine that the service accepts, defaults filled in. */
export type InstancePlan = {
  body: InstanceBody;
  machineType: string;
  scheduling: Scheduling;
  /** Those that come with the machine type, or those attached to it. */
  accelerators: Accelerator[];
  /** Attached ones are paid beside the machine type. */
  attached: Accelerator[];
};

const NAME = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** Throws the ApiError of the first thing that the service refuses. */
export function planInstance(project: string, zone: string, request: unknown): InstancePlan {
  const body = readBody(instanceBody, request);
  refuseName('resource.name', body.name);
  const machineType = machineTypeOf(project, zone, body.machineType);
  const { accelerators, attached } = acceleratorsOf({ project, zone, machineType, body });
  const rules = scheduling(body.scheduling, { machineType, hasAccelerators: accelerators.length > 0 });
  refuseDisks(body.disks);
  if (body.networkInterfaces.length === 0) {
    throw new ApiError(400, 'required', 'At least one network interface is required.');
  }
  refuseLabels('resource.labels', body.labels);
  refuseMetadata(body.metadata.items);
  refuseServiceAccounts(body);
  for (const tag of body.tags.items) refuseName('resource.tags.items', tag);
  return { body, machineType, scheduling: rules, accelerators, attached };
}

function refuseName(field: string, name: string): void {
  if (NAME.test(name)) return;
  throw invalidField(field, name, "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'");
}

function machineTypeOf(project: string, zone: string, asked: string): string {
  const match = /^(?:projects\/[^/]+\/)?zones\/([^/]+)\/machineTypes\/([^/]+)$/.exec(resourceOf(asked));
  if (!match) throw invalidField('resource.machineType', asked, 'The URL is malformed.');
  const [, itsZone, name = ''] = match;
  if (itsZone === zone && ZONES[zone]?.includes(name)) return name;
  throw invalidField(
    'resource.machineType',
    `https://www.googleapis.com/compute/v1/projects/${project}/zones/${itsZone}/machineTypes/${name}`,
    `Machine type with name '${name}' does not exist in zone '${zone}'.`,
  );
}

function acceleratorsOf({
  project,
  zone,
  machineType,
  body,
}: {
  project: string;
  zone: string;
  machineType: string;
  body: InstanceBody;
}): { accelerators: Accelerator[]; attached: Accelerator[] } {
  const builtIn = MACHINE_TYPES[machineType]?.accelerator;
  const asked = body.guestAccelerators.map(({ acceleratorType, acceleratorCount }) => ({
    type: lastPart(acceleratorType),
    count: acceleratorCount,
  }));
  for (const { type } of asked) {
    const known =
      Object.hasOwn(ATTACHABLE, type) ||
      Object.values(MACHINE_TYPES).some((m) => m.accelerator?.type === type);
    if (!known) throw notFound(`projects/${project}/zones/${zone}/acceleratorTypes/${type}`);
  }
  const [first] = asked;
  if (!first) return { accelerators: builtIn ? [builtIn] : [], attached: [] };
  if (builtIn) {
    // To name what the machine type has anyway changes nothing; anything else is refused.
    if (asked.length === 1 && first.type === builtIn.type && first.count === builtIn.count) {
      return { accelerators: [builtIn], attached: [] };
    }
    throw notCompatible([machineType, first.type]);
  }
  if (asked.length > 1 || !machineType.startsWith('n1-')) throw notCompatible([machineType, first.type]);
  if (!ATTACHABLE[first.type]?.includes(first.count)) {
    throw invalidField(
      'resource.guestAccelerators[0].acceleratorCount',
      first.count,
      'Not a number of cards that can be attached.',
    );
  }
  return { accelerators: [first], attached: [first] };
}

function notCompatible(features: string[]): ApiError {
  return new ApiError(
    400,
    'badRequest',
    `[${features.join(', ')}] features are not compatible for creating instance.`,
  );
}

function refuseDisks(disks: DiskBody[]): void {
  if (disks.length === 0) throw invalidField('resource.disks', undefined, 'No disks are specified.');
  for (const [at, disk] of disks.entries()) {
    const field = `resource.disks[${at}]`;
    if (disk.boot !== (at === 0)) {
      throw invalidField(`${field}.boot`, disk.boot, 'The first disk is the boot disk, and no other one.');
    }
    if (disk.source !== undefined && disk.initializeParams !== undefined) {
      throw invalidField(field, undefined, 'Only one of source and initializeParams can be specified.');
    }
    if (disk.type === 'PERSISTENT' && disk.source === undefined) refuseNewDisk(field, disk);
  }
}

function refuseNewDisk(field: string, { boot, initializeParams }: DiskBody): void {
  const image = initializeParams?.sourceImage;
  if (boot && image === undefined) {
    throw invalidField(field, undefined, 'Boot disk must have a source specified');
  }
  const found = image === undefined ? undefined : imageOf(`${field}.initializeParams.sourceImage`, image);
  if (initializeParams?.diskName !== undefined) {
    refuseName(`${field}.initializeParams.diskName`, initializeParams.diskName);
  }
  const size = initializeParams?.diskSizeGb;
  if (size === undefined || !found || Number(size) >= found.diskSizeGb) return;
  throw invalidField(
    `${field}.initializeParams.diskSizeGb`,
    size,
    `Requested disk size cannot be smaller than the image size (${found.diskSizeGb} GB)`,
  );
}

/** The second form of a family is what gcloud names it by. */
const IMAGE =
  /^projects\/([^/]+)\/(?:global\/images\/(family\/)?|zones\/[^/]+\/(imageFamilyViews)\/)([^/]+)$/;

/** An image by its link, or by the link of its family. Throws the ApiError of one that does not exist. */
export function imageOf(field: string, asked: string): { project: string; name: string; diskSizeGb: number } {
  const match = IMAGE.exec(resourceOf(asked));
  if (!match) throw invalidField(field, asked, 'The URL is malformed.');
  const [, project = '', ofFamily, view, name] = match;
  const family = ofFamily ?? view;
  for (const [key, image] of Object.entries(IMAGES)) {
    if (key === `${project}/${name}` && family) return { project, ...image };
    if (key.startsWith(`${project}/`) && image.name === name && !family) return { project, ...image };
  }
  throw invalidField(field, asked, 'The referenced image resource cannot be found.');
}

function refuseServiceAccounts({ serviceAccounts }: InstanceBody): void {
  if (serviceAccounts.length > 1) {
    throw invalidField('resource.serviceAccounts', undefined, 'At most one service account is allowed.');
  }
  for (const { email, scopes } of serviceAccounts) {
    if (email !== 'default' && !/^[^@\s]+@[^@\s]+$/.test(email)) {
      throw invalidField(
        'resource.serviceAccounts[0].email',
        email,
        'Must be an email address or `default`.',
      );
    }
    if (scopes.length === 0) {
      throw invalidField(
        'resource.serviceAccounts[0].scopes',
        undefined,
        'At least one scope must be specified.',
      );
    }
  }
}
