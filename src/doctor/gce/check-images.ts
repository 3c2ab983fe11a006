import { z } from 'zod';
import { askCompute, type Check, type Ground } from './check.ts';
import { about, type GceFinding } from './finding.ts';
import { isNeeded } from './is-needed.ts';
import { bodyOf, refused } from './refusal.ts';

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

/** One question per image. What is in one nobody can see from here, but some are known to lack an engine. */
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
  const say = about(`image of ${users.map(([name]) => name).join(', ')}`);
  const isWanted = users.some(([name]) => isNeeded(ground.gce, name, ({ bootDisk }) => bootDisk.image));
  const bad = isWanted ? say.failed : say.warning;
  const path = image.startsWith('projects/') ? image : `projects/${project}/${image}`;
  const [, owner = project] = path.split('/');
  const list = `gcloud compute images list --project=${owner}`;
  const answer = await askCompute(ground, path);
  if (answer.status !== 200)
    return refused(say, answer, {
      project,
      api: 'compute.googleapis.com',
      forbidden: () => bad(`${path} may not be used`, list),
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
  // What an emulator rents out has whatever the machine beneath it has.
  if (!WITHOUT_ENGINE.includes(owner) || apiEndpoint !== null) return say.ok(name);
  return bad(
    `${name} has no container engine, without which a machine ends the run at once`,
    'make an image (docs/gce.md, "The image of the machines"), and name it in gce.profile_overrides',
  );
}
