import { z } from 'zod';
import type { GoogleAnswer } from '../../backends/google-access.ts';
import { GCE_PROFILES, type GceProfile } from '../../config/gce-profiles.ts';
import { nearest } from '../../core/suggest.ts';
import { askCompute, type Check, type Ground } from './check.ts';
import { about, type GceFinding } from './finding.ts';
import { bodyOf, refused } from './refusal.ts';

const COMPUTE = 'compute.googleapis.com';

const zoneList = z.object({
  items: z.array(z.object({ name: z.string(), status: z.string() })).default([]),
});

export const checkZones: Check = {
  component: 'zones',
  of: 'compute',
  run: async (ground) => {
    const say = about('zones');
    const { projectId: project, zones } = ground.gce;
    const answer = await askCompute(ground, `projects/${project}/zones?maxResults=500`);
    if (answer.status !== 200) return [refused(say, answer, meaningOfPlaces(ground, 'zones'))];
    const status = new Map(bodyOf(zoneList, answer).items.map((zone) => [zone.name, zone.status]));
    const unknown = zones.filter((zone) => !status.has(zone));
    const fix = `gcloud compute zones list --project=${project}`;
    const findings = unknown.map((zone) => {
      const near = nearest(zone, status.keys());
      return say.failed(`there is no zone ${zone}${near === undefined ? '' : `; is it ${near}?`}`, fix);
    });
    const down = zones.filter((zone) => status.has(zone) && status.get(zone) !== 'UP');
    if (down.length > 0) findings.push(say.warning(`down now: ${down.join(', ')}`, fix));
    return findings.length > 0 ? findings : [say.ok(zones.join(', '))];
  },
};

function meaningOfPlaces({ gce }: Ground, component: string) {
  const say = about(component);
  const project = gce.projectId;
  return {
    project,
    api: COMPUTE,
    forbidden: (): GceFinding => say.notChecked('may not be looked at'),
    missing: (): GceFinding => say.failed(`${project} has none of that name`, null),
  };
}

const typeList = z.object({ items: z.array(z.object({ name: z.string() })).default([]) });

/** One question per zone, for the types of all profiles. */
export const checkMachineTypes: Check = {
  component: 'machine types',
  of: 'compute',
  run: async (ground) => {
    const { projectId: project, zones, profiles } = ground.gce;
    const types = [...new Set(Object.values(profiles).map(({ machineType }) => machineType))];
    const filter = encodeURIComponent(types.map((type) => `(name="${type}")`).join(' OR '));
    const answers = await Promise.all(
      zones.map(async (zone): Promise<[string, GoogleAnswer]> => {
        const path = `projects/${project}/zones/${zone}/machineTypes?filter=${filter}`;
        return [zone, await askCompute(ground, path)];
      }),
    );
    const listed = answers.filter(([, answer]) => answer.status === 200);
    const [silent] = answers;
    if (listed.length === 0 && silent !== undefined) {
      const component = 'machine types';
      return [refused(about(component), silent[1], meaningOfPlaces(ground, component))];
    }
    const zonesOf = (type: string): string[] =>
      listed
        .filter(([, answer]) => bodyOf(typeList, answer).items.some(({ name }) => name === type))
        .map(([zone]) => zone);
    return Object.entries(profiles).map(([name, profile]) =>
      findingOfType({ name, profile, zones: zonesOf(profile.machineType), project }),
    );
  },
};

function findingOfType(of: {
  name: string;
  profile: GceProfile;
  zones: string[];
  project: string;
}): GceFinding {
  const { name, profile, zones, project } = of;
  const say = about(`profile ${name}`);
  const { machineType } = profile;
  if (zones.length > 0) return say.ok(`${machineType} is for rent in ${zones.join(', ')}`);
  const detail = `${machineType} is for rent in none of gce.zones`;
  const fix = `gcloud compute machine-types list --filter="name=${machineType}" --project=${project}`;
  // Nobody has asked for those that are built in.
  const isBuiltIn = GCE_PROFILES[name]?.machineType === machineType;
  return isBuiltIn ? say.warning(detail, fix) : say.failed(detail, fix);
}

/** Systems that come without a container engine, by the project that gives them out. */
const WITHOUT_ENGINE = [
  'debian-cloud',
  'ubuntu-os-cloud',
  'centos-cloud',
  'rhel-cloud',
  'rocky-linux-cloud',
  'suse-cloud',
  'fedora-cloud',
];

const imageResource = z.object({
  name: z.string(),
  status: z.string().default('READY'),
  diskSizeGb: z.string().default('0'),
});

/** One question per image. What is in one nobody can see from here, but what is known to lack an engine. */
export const checkImages: Check = {
  component: 'images',
  of: 'compute',
  run: (ground) => {
    const images = new Set(Object.values(ground.gce.profiles).map(({ bootDisk }) => bootDisk.image));
    return Promise.all([...images].map((image) => checkImage(ground, image)));
  },
};

async function checkImage(ground: Ground, image: string): Promise<GceFinding> {
  const { projectId: project, profiles, apiEndpoint } = ground.gce;
  const users = Object.entries(profiles).filter(([, { bootDisk }]) => bootDisk.image === image);
  const names = users.map(([name]) => name).join(', ');
  const say = about(`image of ${names}`);
  const path = image.replace(/^https:\/\/[^/]+\/compute\/v1\//, '');
  const answer = await askCompute(ground, path.startsWith('global/') ? `projects/${project}/${path}` : path);
  const list = `gcloud compute images list --project=${/^projects\/([^/]+)\//.exec(path)?.[1] ?? project}`;
  const isBuiltIn = users.every(([name]) => GCE_PROFILES[name]?.bootDisk.image === image);
  const bad = isBuiltIn ? say.warning : say.failed;
  if (answer.status !== 200)
    return refused(say, answer, {
      project,
      api: COMPUTE,
      forbidden: () => say.failed(`${path} may not be used`, list),
      missing: () => bad(`there is no ${path}`, list),
    });
  const { name, status, diskSizeGb } = bodyOf(imageResource, answer);
  if (status !== 'READY') return bad(`${name} is not ready (${status})`, list);
  const small = users.find(([, { bootDisk }]) => bootDisk.sizeGb < Number(diskSizeGb));
  if (small !== undefined)
    return say.failed(
      `${name} needs a disk of ${diskSizeGb} GB, and ${small[0]} has ${small[1].bootDisk.sizeGb}`,
      `set gce.profile_overrides.${small[0]}.boot_disk.size_gb to ${diskSizeGb}`,
    );
  const owner = WITHOUT_ENGINE.find((cloud) => path.startsWith(`projects/${cloud}/`));
  // What an emulator rents out has whatever the machine beneath it has.
  if (owner === undefined || apiEndpoint !== null) return say.ok(name);
  return say.failed(
    `${name} has no container engine, for which machines would wait until they are given up`,
    `make an image (docs/gce.md, "The image of the machines"), and name it in gce.profile_overrides`,
  );
}
