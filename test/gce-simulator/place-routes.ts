import { invalidField, notFound } from './api-error.ts';
import { IMAGES, MACHINE_TYPES, REGIONS, regionOf, ZONES } from './catalog.ts';
import { page } from './listing.ts';
import { quotaRows } from './quotas.ts';
import { link, timestamp } from './resources.ts';
import type { Call, Route } from './routes.ts';

/** What is there before anybody rents anything: the project, regions, zones, machine types, images. */

const LONG_AGO = timestamp(Date.parse('2014-05-30T00:00:00.000Z'));

/** Ids that stay the same: the place of a name in its list. */
function fixedId(prefix: number, names: string[], name: string): string {
  return String(prefix * 1000 + names.indexOf(name));
}

function zoneResource(project: string, zone: string) {
  return {
    kind: 'compute#zone',
    id: fixedId(2, Object.keys(ZONES), zone),
    creationTimestamp: LONG_AGO,
    name: zone,
    description: zone,
    status: 'UP',
    region: link(`projects/${project}/regions/${regionOf(zone)}`),
    selfLink: link(`projects/${project}/zones/${zone}`),
  };
}

function machineTypeResource(project: string, zone: string, name: string) {
  const type = MACHINE_TYPES[name];
  return {
    kind: 'compute#machineType',
    id: fixedId(3, Object.keys(MACHINE_TYPES), name),
    creationTimestamp: LONG_AGO,
    name,
    description: `${type?.cpus} vCPUs, ${type?.memoryGb} GB RAM`,
    guestCpus: type?.cpus,
    memoryMb: (type?.memoryGb ?? 0) * 1024,
    isSharedCpu: /^e2-(small|medium)$/.test(name),
    maximumPersistentDisks: 128,
    maximumPersistentDisksSizeGb: '263168',
    zone,
    ...(type?.accelerator && {
      accelerators: [
        { guestAcceleratorType: type.accelerator.type, guestAcceleratorCount: type.accelerator.count },
      ],
    }),
    selfLink: link(`projects/${project}/zones/${zone}/machineTypes/${name}`),
  };
}

function regionResource({ world }: Call, region: string) {
  return {
    kind: 'compute#region',
    id: fixedId(1, REGIONS, region),
    creationTimestamp: LONG_AGO,
    name: region,
    description: region,
    status: 'UP',
    zones: Object.keys(ZONES)
      .filter((zone) => regionOf(zone) === region)
      .map((zone) => link(`projects/${world.project}/zones/${zone}`)),
    quotas: quotaRows(world, region),
    selfLink: link(`projects/${world.project}/regions/${region}`),
  };
}

export const placeRoutes: Route[] = [
  {
    id: 'projects.get',
    method: 'GET',
    pattern: 'projects/{project}',
    handle: ({ world }) => ({
      kind: 'compute#project',
      id: String(world.projectNumber),
      creationTimestamp: LONG_AGO,
      name: world.project,
      commonInstanceMetadata: { kind: 'compute#metadata', fingerprint: 'AAAAAAAAAAA=' },
      quotas: quotaRows(world),
      defaultServiceAccount: `${world.projectNumber}-compute@developer.gserviceaccount.com`,
      selfLink: link(`projects/${world.project}`),
    }),
  },
  {
    id: 'regions.list',
    method: 'GET',
    pattern: 'projects/{project}/regions',
    handle: (call) => ({
      kind: 'compute#regionList',
      id: `projects/${call.world.project}/regions`,
      ...page(
        REGIONS.map((region) => regionResource(call, region)),
        call.query,
      ),
    }),
  },
  {
    id: 'regions.get',
    method: 'GET',
    pattern: 'projects/{project}/regions/{region}',
    handle: (call) => {
      const region = call.params['region'] ?? '';
      if (!REGIONS.includes(region)) throw invalidField('region', region, 'Unknown region.');
      return regionResource(call, region);
    },
  },
  {
    id: 'zones.list',
    method: 'GET',
    pattern: 'projects/{project}/zones',
    handle: ({ world, query }) => ({
      kind: 'compute#zoneList',
      id: `projects/${world.project}/zones`,
      ...page(
        Object.keys(ZONES).map((zone) => zoneResource(world.project, zone)),
        query,
      ),
    }),
  },
  {
    id: 'zones.get',
    method: 'GET',
    pattern: 'projects/{project}/zones/{zone}',
    handle: ({ world, params }) => zoneResource(world.project, params['zone'] ?? ''),
  },
  {
    id: 'machineTypes.list',
    method: 'GET',
    pattern: 'projects/{project}/zones/{zone}/machineTypes',
    handle: ({ world, params, query }) => {
      const zone = params['zone'] ?? '';
      const types = (ZONES[zone] ?? []).map((name) => machineTypeResource(world.project, zone, name));
      return {
        kind: 'compute#machineTypeList',
        id: `projects/${world.project}/zones/${zone}/machineTypes`,
        ...page(types, query),
      };
    },
  },
  {
    id: 'machineTypes.get',
    method: 'GET',
    pattern: 'projects/{project}/zones/{zone}/machineTypes/{machineType}',
    handle: ({ world, params }) => {
      const { zone = '', machineType = '' } = params;
      if (ZONES[zone]?.includes(machineType)) return machineTypeResource(world.project, zone, machineType);
      throw notFound(`projects/${world.project}/zones/${zone}/machineTypes/${machineType}`);
    },
  },
  {
    id: 'images.getFromFamily',
    method: 'GET',
    pattern: 'projects/{imageProject}/global/images/family/{family}',
    handle: ({ params }) => {
      const { imageProject = '', family = '' } = params;
      const image = IMAGES[`${imageProject}/${family}`];
      if (!image) throw notFound(`projects/${imageProject}/global/images/family/${family}`);
      return {
        kind: 'compute#image',
        id: fixedId(4, Object.keys(IMAGES), `${imageProject}/${family}`),
        creationTimestamp: LONG_AGO,
        name: image.name,
        family,
        status: 'READY',
        diskSizeGb: String(image.diskSizeGb),
        architecture: 'X86_64',
        selfLink: link(`projects/${imageProject}/global/images/${image.name}`),
      };
    },
  },
];
