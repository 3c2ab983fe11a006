import { z } from 'zod';
import { askCompute, type Check, type Ground, lastPart, regionOf, regionsOf } from './check.ts';
import { about, type GceFinding } from './finding.ts';
import { bodyOf, refused } from './refusal.ts';

const COMPUTE = 'compute.googleapis.com';

const networkResource = z.object({ autoCreateSubnetworks: z.boolean().optional() });
const subnetworkResource = z.object({ privateIpGoogleAccess: z.boolean().default(false) });

export const checkNetwork: Check = {
  component: 'network',
  of: 'google',
  run: async (ground) => {
    const say = about('network');
    const { projectId: project, network, subnetwork } = ground.gce;
    const name = lastPart(network);
    const answer = await askCompute(ground, networkPath(ground));
    if (answer.status !== 200)
      return [
        refused(say, answer, {
          project,
          api: COMPUTE,
          forbidden: () => say.notChecked(`${name} may not be looked at (compute.networks.get)`),
          missing: () =>
            say.failed(
              `there is no network ${name}`,
              `gcloud compute networks create ${name} --subnet-mode=auto --project=${project}`,
            ),
        }),
      ];
    const { autoCreateSubnetworks } = bodyOf(networkResource, answer);
    if (subnetwork !== null || autoCreateSubnetworks === true) return [say.ok(name)];
    return [
      say.failed(
        `${name} has no subnetwork of its own in every region, and gce.subnetwork names none`,
        `gcloud compute networks subnets list --network=${name} --project=${project}`,
      ),
    ];
  },
};

/** It may be a name, `global/networks/…`, or the path of another project's. */
function networkPath({ gce }: Ground): string {
  const { projectId, network } = gce;
  if (network.startsWith('projects/')) return network;
  return `projects/${projectId}/${network.includes('/') ? network : `global/networks/${network}`}`;
}

/** One question per region. A network that makes its own subnetworks calls each of them like itself. */
export const checkSubnetworks: Check = {
  component: 'subnetwork',
  of: 'google',
  run: async (ground) => {
    const { zones, subnetwork } = ground.gce;
    const region = subnetwork === null ? undefined : regionInPath(subnetwork);
    const regions = region === undefined ? regionsOf(zones) : [region];
    const findings = await Promise.all(regions.map((one) => checkSubnetwork(ground, one)));
    const outside = region === undefined ? [] : zones.filter((zone) => regionOf(zone) !== region);
    if (outside.length === 0) return findings;
    const detail = `gce.subnetwork is in ${region}; no machine can be had in ${outside.join(', ')}`;
    return [
      ...findings,
      about('subnetwork').warning(detail, 'take these zones out of gce.zones, or take gce.subnetwork out'),
    ];
  },
};

function regionInPath(path: string): string | undefined {
  return /(?:^|\/)regions\/([^/]+)\//.exec(path)?.[1];
}

async function checkSubnetwork(ground: Ground, region: string): Promise<GceFinding> {
  const { projectId: project, network, subnetwork, externalAddress } = ground.gce;
  const say = about(`subnetwork ${region}`);
  const name = lastPart(subnetwork ?? network);
  // Where the network is another project's, so are its subnetworks.
  const owner = /(?:^|\/)projects\/([^/]+)\//.exec(subnetwork ?? network)?.[1] ?? project;
  const answer = await askCompute(ground, `projects/${owner}/regions/${region}/subnetworks/${name}`);
  const where = `--region=${region} --project=${owner}`;
  if (answer.status !== 200)
    return refused(say, answer, {
      project,
      api: COMPUTE,
      forbidden: () => say.notChecked(`${name} may not be looked at (compute.subnetworks.get)`),
      missing: () =>
        say.failed(
          `there is no subnetwork ${name} in ${region}`,
          `gcloud compute networks subnets create ${name} --network=${network} --range=10.0.0.0/20 ${where}`,
        ),
    });
  const { privateIpGoogleAccess } = bodyOf(subnetworkResource, answer);
  if (externalAddress || privateIpGoogleAccess) return say.ok(name);
  return say.warning(
    `machines get no external address, and ${name} has no Private Google Access: without a Cloud NAT they reach nothing`,
    `gcloud compute networks subnets update ${name} --enable-private-ip-google-access ${where}`,
  );
}
