import type { GceProfile } from '../../config/gce-profiles.ts';
import type { ProvisioningModel } from '../../core/rows.ts';
import type { DiskBody, InstanceBody } from './compute-calls.ts';

/** What every machine of a project has in common. */
export type MachineSettings = {
  /** Label of all machines of the project. */
  project: string;
  /** `global/networks/default`, or a name. */
  network: string;
  subnetwork: string | null;
  /** Without one the machine reaches the internet only through what the network has for that. */
  externalAddress: boolean;
  serviceAccount: string;
  /** Contents of the bootstrap: runs at each boot. */
  startupScript: string;
  /** What the bootstrap reads: no secrets. */
  settings: Record<string, unknown>;
};

export const LABEL_PROJECT = 'goldfish-project';
const LABEL_PROFILE = 'goldfish-profile';
/** What the worker may do is decided by the roles of its account. */
const SCOPES = ['https://www.googleapis.com/auth/cloud-platform'];

/** The service refuses a machine that is to be ended later: cloud.google.com/compute/docs/instances/limit-vm-runtime. */
export const LONGEST_LIFE_SECONDS = 120 * 24 * 3_600;

export type BodyRequest = {
  id: string;
  profileName: string;
  profile: GceProfile;
  zone: string;
  model: ProvisioningModel;
  maxSeconds: number;
  singleUse: boolean;
};

/** A machine as it is asked for. The rules of the service for spot machines and accelerators are kept here. */
export function instanceBody(settings: MachineSettings, request: BodyRequest): InstanceBody {
  const { id, profileName, profile, zone, model } = request;
  const labels = { [LABEL_PROJECT]: settings.project, [LABEL_PROFILE]: profileName };
  const { accelerators } = profile;
  const spot = model === 'spot';
  return {
    name: id,
    machineType: `zones/${zone}/machineTypes/${profile.machineType}`,
    labels,
    metadata: {
      items: [
        { key: 'startup-script', value: settings.startupScript },
        {
          key: 'goldfish-worker',
          value: JSON.stringify({ ...settings.settings, ...ownSettings(request) }),
        },
      ],
    },
    disks: disksOf(profile, { zone, labels }),
    networkInterfaces: [
      {
        network: settings.network.includes('/') ? settings.network : `global/networks/${settings.network}`,
        ...(settings.subnetwork === null ? {} : { subnetwork: settings.subnetwork }),
        ...(settings.externalAddress
          ? { accessConfigs: [{ type: 'ONE_TO_ONE_NAT', name: 'External NAT' }] }
          : {}),
      },
    ],
    serviceAccounts: [{ email: settings.serviceAccount, scopes: SCOPES }],
    scheduling: {
      provisioningModel: spot ? 'SPOT' : 'STANDARD',
      // Neither spot machines nor those with accelerators can be moved while they run.
      onHostMaintenance: spot || profile.gpus > 0 ? 'TERMINATE' : 'MIGRATE',
      // What it ran is lost with the host; a machine that comes back would wait for work that was given to another.
      automaticRestart: false,
      // Also where nobody of ours is left: what is stopped would still have disks to be paid for.
      instanceTerminationAction: 'DELETE',
      maxRunDuration: { seconds: `${lifeSeconds(request)}` },
    },
    ...(accelerators === null
      ? {}
      : {
          guestAccelerators: [
            {
              acceleratorType: `zones/${zone}/acceleratorTypes/${accelerators.type}`,
              acceleratorCount: accelerators.count,
            },
          ],
        }),
    // A reservation is paid for at the full price whoever uses it.
    ...(spot ? { reservationAffinity: { consumeReservationType: 'NO_RESERVATION' } } : {}),
  };
}

/** Of a machine that is kept only the time for other runs is shortened: the first one alone never takes so long. */
function lifeSeconds({ maxSeconds }: BodyRequest): number {
  return Math.min(Math.ceil(maxSeconds), LONGEST_LIFE_SECONDS);
}

/** What the worker program of this machine is told beside what all are told. */
function ownSettings(request: BodyRequest) {
  const { id, profileName, profile, singleUse } = request;
  return {
    worker: id,
    profile: profileName,
    image: profile.bootDisk.image,
    singleUse,
    lifeSeconds: lifeSeconds(request),
    accelerators: profile.gpus > 0,
    dataDisks: profile.dataDisks.map(({ name }) => name),
  };
}

function disksOf(profile: GceProfile, of: { zone: string; labels: Record<string, string> }): DiskBody[] {
  const { zone, labels } = of;
  const diskType = (type: string): string => `zones/${zone}/diskTypes/${type}`;
  const { bootDisk, dataDisks } = profile;
  return [
    {
      boot: true,
      autoDelete: true,
      deviceName: 'boot',
      initializeParams: {
        sourceImage: bootDisk.image,
        diskSizeGb: `${bootDisk.sizeGb}`,
        diskType: diskType(bootDisk.type),
        labels,
      },
    },
    ...dataDisks.map(
      ({ name, sizeGb, type }): DiskBody => ({
        boot: false,
        autoDelete: true,
        // Found on the machine as /dev/disk/by-id/google-<name>.
        deviceName: name,
        initializeParams: { diskSizeGb: `${sizeGb}`, diskType: diskType(type), labels },
      }),
    ),
  ];
}
