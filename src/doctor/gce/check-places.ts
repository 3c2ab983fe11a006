import { z } from 'zod';
import type { GoogleAnswer } from '../../backends/google-access.ts';
import type { GceConfig } from '../../config/gce.ts';
import type { GceProfile } from '../../config/gce-profiles.ts';
import { nearest } from '../../core/suggest.ts';
import { askCompute, type Check, type Ground } from './check.ts';
import { about, type GceFinding } from './finding.ts';
import { isNeeded } from './is-needed.ts';
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
    const mute = answers.filter(([, answer]) => answer.status !== 200).map(([zone]) => zone);
    const zonesOf = (type: string): string[] =>
      listed
        .filter(([, answer]) => bodyOf(typeList, answer).items.some(({ name }) => name === type))
        .map(([zone]) => zone);
    return Object.entries(profiles).map(([name, profile]) =>
      findingOfType(ground.gce, { name, profile, zones: zonesOf(profile.machineType), mute }),
    );
  },
};

function findingOfType(
  gce: GceConfig,
  { name, profile, zones, mute }: { name: string; profile: GceProfile; zones: string[]; mute: string[] },
): GceFinding {
  const say = about(`profile ${name}`);
  const { machineType } = profile;
  if (zones.length > 0) return say.ok(`${machineType} is for rent in ${zones.join(', ')}`);
  if (mute.length > 0)
    return say.notChecked(`${machineType} was not found, and nothing is known of ${mute.join(', ')}`);
  const detail = `${machineType} is for rent in none of gce.zones`;
  const fix = `gcloud compute machine-types list --filter="name=${machineType}" --project=${gce.projectId}`;
  const isWanted = isNeeded(gce, name, (one) => one.machineType);
  return isWanted ? say.failed(detail, fix) : say.warning(detail, fix);
}
