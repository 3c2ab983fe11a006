import { z } from 'zod';
import type { GoogleAnswer } from '../../backends/google-access.ts';
import type { GceProfile } from '../../config/gce-profiles.ts';
import { askCompute, type Check, regionsOf } from './check.ts';
import { about, type GceFinding } from './finding.ts';
import { type QuotaNeed, quotaNeeds } from './quota-needs.ts';
import { bodyOf, refused } from './refusal.ts';

const resource = z.object({
  quotas: z.array(z.object({ metric: z.string(), limit: z.number(), usage: z.number() })).default([]),
});

type Quota = { metric: string; limit: number; usage: number };
/** Of one region, with those of the whole project. */
type Limits = { region: string; regional: Quota[]; global: Quota[] };

/** One question per region and one for the project. A limit that is too small is a warning: the search goes on elsewhere. */
export const checkQuotas: Check = {
  component: 'quotas',
  of: 'compute',
  run: async (ground) => {
    const { projectId: project, zones, profiles } = ground.gce;
    const ask = (path: string): Promise<GoogleAnswer> => askCompute(ground, `projects/${project}${path}`);
    const [whole, ...answers] = await Promise.all([
      ask(''),
      ...regionsOf(zones).map(async (region) => ({ region, answer: await ask(`/regions/${region}`) })),
    ]);
    const global = whole.status === 200 ? bodyOf(resource, whole).quotas : [];
    const limits = answers
      .filter(({ answer }) => answer.status === 200)
      .map(({ region, answer }) => ({ region, regional: bodyOf(resource, answer).quotas, global }));
    const [silent] = answers;
    if (limits.length === 0 && silent !== undefined) {
      const say = about('quotas');
      const unknown = (): GceFinding => say.notChecked('may not be looked at (compute.regions.get)');
      const meaning = { project, api: 'compute.googleapis.com', forbidden: unknown, missing: unknown };
      return [refused(say, silent.answer, meaning)];
    }
    return Object.entries(profiles).map(([name, profile]) =>
      findingOfProfile({ name, profile, limits, project }),
    );
  },
};

function findingOfProfile(of: {
  name: string;
  profile: GceProfile;
  limits: Limits[];
  project: string;
}): GceFinding {
  const { name, profile, limits, project } = of;
  const say = about(`quota of ${name}`);
  const judged = profile.models.flatMap((model) =>
    limits.map((one) => ({ one, ...judge(quotaNeeds(profile, model), one) })),
  );
  const fits = judged.filter(({ short, listed }) => short === undefined && listed > 0);
  if (fits.length > 0) {
    const regions = [...new Set(fits.map(({ one }) => one.region))];
    return say.ok(`room for a machine in ${regions.join(', ')}`);
  }
  const worst = judged.find(({ short }) => short !== undefined);
  if (worst?.short === undefined)
    return say.notChecked(`the service lists no limit for ${profile.machineType}`, consoleOf(project));
  const { quota, need } = worst.short;
  const region = need.of === 'region' ? worst.one.region : undefined;
  return say.warning(
    `${quota.metric}${region === undefined ? '' : ` in ${region}`}: ${quota.usage} of ${quota.limit} in use, a machine takes ${need.amount}`,
    raise({ quota, need, project, region }),
  );
}

/** `short`: the first limit that one more machine would pass. `listed`: how many of its limits are known. */
function judge(
  needs: readonly QuotaNeed[],
  { regional, global }: Limits,
): { short: { quota: Quota; need: QuotaNeed } | undefined; listed: number } {
  const known = needs.flatMap((need) => {
    const list = need.of === 'region' ? regional : global;
    const quota = need.metrics.flatMap((metric) => list.find((one) => one.metric === metric) ?? [])[0];
    return quota === undefined ? [] : [{ quota, need }];
  });
  const short = known.find(({ quota, need }) => quota.usage + need.amount > quota.limit);
  return { short, listed: known.filter(({ need }) => need.of === 'region').length };
}

function raise(of: { quota: Quota; need: QuotaNeed; project: string; region: string | undefined }): string {
  const { quota, need, project, region } = of;
  const id = `${quota.metric.replaceAll('_', '-')}-per-project${region === undefined ? '' : '-region'}`;
  return [
    'gcloud beta quotas preferences create --service=compute.googleapis.com',
    `--project=${project} --quota-id=${id} --preferred-value=${quota.usage + need.amount}`,
    ...(region === undefined ? [] : [`--dimensions=region=${region}`]),
  ].join(' ');
}

function consoleOf(project: string): string {
  return `look at https://console.cloud.google.com/iam-admin/quotas?project=${project}`;
}
