import { z } from 'zod';
import { isGoldfishError } from '../../core/errors.ts';
import { askCompute, type Check, type Ground } from './check.ts';
import { grantOnAccount, grantOnProject, LOGIN } from './commands.ts';
import { about, type GceFinding } from './finding.ts';
import { bodyOf, refused } from './refusal.ts';

const COMPUTE = 'compute.googleapis.com';
const RESOURCE_MANAGER = 'cloudresourcemanager.googleapis.com';
const IAM = 'iam.googleapis.com';
const ADMIN = 'roles/compute.instanceAdmin.v1';
const ACT_AS = 'iam.serviceAccounts.actAs';

const granted = z.object({ permissions: z.array(z.string()).default([]) });

export const checkCredentials: Check = {
  component: 'credentials',
  of: 'google',
  run: async ({ access, signal }) => {
    const say = about('credentials');
    try {
      const { email } = await access.account({ signal });
      return [say.ok(email === null ? 'found; they do not say whose' : `those of ${email}`)];
    } catch (error) {
      if (isGoldfishError(error) && error.details['credentials'] === true)
        return [say.failed('this machine has none that are valid', LOGIN)];
      throw error;
    }
  },
};

/** The first call of every tick: machines are found by it. */
export const checkComputeApi: Check = {
  component: 'compute api',
  of: 'compute',
  run: async (ground) => {
    const say = about('compute api');
    const project = ground.gce.projectId;
    const path = `projects/${project}/aggregated/instances?maxResults=1&returnPartialSuccess=true`;
    const answer = await askCompute(ground, path);
    if (answer.status === 200) return [say.ok('answers, and lists machines')];
    return [
      refused(say, answer, {
        project,
        api: COMPUTE,
        forbidden: () =>
          say.failed(
            'machines may not be listed (compute.instances.list)',
            grantOnProject({ project, member: ground.member, role: ADMIN }),
          ),
        missing: () =>
          say.failed(`there is no project ${project}, or it is not shown to you`, 'gcloud projects list'),
      }),
    ];
  },
};

/** What the calls of the backend need, by the names that policies have for it. */
const NEEDED = [
  'compute.disks.create',
  'compute.disks.setLabels',
  'compute.instances.create',
  'compute.instances.delete',
  'compute.instances.get',
  'compute.instances.getSerialPortOutput',
  'compute.instances.list',
  'compute.instances.setLabels',
  'compute.instances.setMetadata',
  'compute.instances.setServiceAccount',
  'compute.zoneOperations.get',
  'compute.zoneOperations.list',
];

/** Asks what would be allowed, of everything that is needed at once; nothing is tried. */
export const checkPermissions: Check = {
  component: 'permissions',
  of: 'google',
  run: async (ground) => {
    const say = about('permissions');
    const { gce, access, signal, member } = ground;
    const project = gce.projectId;
    const elsewhere = grantedElsewhere(ground);
    const answer = await access.ask({
      method: 'POST',
      url: `https://${RESOURCE_MANAGER}/v1/projects/${project}:testIamPermissions`,
      body: { permissions: [...NEEDED, ...elsewhere] },
      signal,
    });
    const unknown = (): GceFinding => say.notChecked(`${project} does not say what you may do there`);
    if (answer.status !== 200)
      return [
        refused(say, answer, {
          project,
          api: RESOURCE_MANAGER,
          optional: true,
          forbidden: unknown,
          missing: unknown,
        }),
      ];
    const { permissions } = bodyOf(granted, answer);
    const lacks = (name: string): boolean => !permissions.includes(name);
    const fix = grantOnProject({ project, member, role: ADMIN });
    const missing = NEEDED.filter(lacks);
    if (missing.length > 0) return [say.failed(`not granted: ${missing.join(', ')}`, fix)];
    const perhaps = elsewhere.filter(lacks);
    if (perhaps.length === 0) return [say.ok(`all ${NEEDED.length + elsewhere.length} are granted`)];
    const detail = `not granted on the project: ${perhaps.join(', ')}; on the subnetwork or image would do`;
    return [say.warning(detail, fix)];
  },
};

/** These may be granted on the one subnetwork or image instead, which the project does not know. */
function grantedElsewhere({ gce }: Ground): string[] {
  const images = Object.values(gce.profiles).map(({ bootDisk }) => bootDisk.image);
  const isOwn = (image: string): boolean =>
    image.startsWith('global/') || image.startsWith(`projects/${gce.projectId}/`);
  return [
    'compute.subnetworks.use',
    ...(gce.externalAddress ? ['compute.subnetworks.useExternalIp'] : []),
    ...(images.some(isOwn) ? ['compute.images.useReadOnly'] : []),
  ];
}

/** Whether machines may be given their account: who may not act as it is refused the machine. */
export const checkMachineAccount: Check = {
  component: 'machine account',
  of: 'google',
  run: async ({ gce, access, signal, member }) => {
    const say = about('machine account');
    const { projectId, serviceAccount: account } = gce;
    if (!account.includes('@'))
      return [say.warning(`"${account}" may do more than machines need`, 'set gce.service_account')];
    const project = projectOfAccount(account) ?? projectId;
    const answer = await access.ask({
      method: 'POST',
      url: `https://${IAM}/v1/projects/${project}/serviceAccounts/${account}:testIamPermissions`,
      body: { permissions: [ACT_AS] },
      signal,
    });
    const role = 'roles/iam.serviceAccountUser';
    const mayNot = (): GceFinding =>
      say.failed(
        `machines may not be given ${account} (${ACT_AS})`,
        grantOnAccount({ account, project, member, role }),
      );
    if (answer.status === 200) {
      const may = bodyOf(granted, answer).permissions.includes(ACT_AS);
      return [may ? say.ok(`machines may be given ${account}`) : mayNot()];
    }
    const name = account.slice(0, account.indexOf('@'));
    return [
      refused(say, answer, {
        project,
        api: IAM,
        optional: true,
        forbidden: mayNot,
        missing: () =>
          say.failed(
            `there is no account ${account}`,
            `gcloud iam service-accounts create ${name} --project=${project}`,
          ),
      }),
    ];
  },
};

/** `name@PROJECT.iam.gserviceaccount.com`; the accounts that Google makes name a number instead. */
function projectOfAccount(account: string): string | undefined {
  return /@([a-z][a-z0-9-]+)\.iam\.gserviceaccount\.com$/.exec(account)?.[1];
}
