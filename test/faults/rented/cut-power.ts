import type { InstanceResource } from '../../gce-simulator/resources.ts';
import type { RentedRig } from '../../integration/gce/rented-rig.ts';

/** The one machine that runs. */
export function runningMachine({ simulator }: RentedRig): InstanceResource {
  const [machine, ...others] = simulator.instances().filter(({ status }) => status === 'RUNNING');
  if (machine === undefined || others.length > 0)
    throw new Error(`${others.length + (machine === undefined ? 0 : 1)} machines run where one should`);
  return machine;
}

/** It comes up again with its disk (`reset`), or does not. */
export async function cutPower(
  { simulator }: RentedRig,
  { machine, blow }: { machine: InstanceResource; blow: 'reset' | 'off' },
): Promise<void> {
  const { name } = machine;
  if (blow === 'off') return simulator.breakHost(name);
  const zone = machine.zone.slice(machine.zone.lastIndexOf('/') + 1);
  const path = `/compute/v1/projects/${simulator.project}/zones/${zone}/instances/${name}/reset`;
  const answer = await simulator.call({ method: 'POST', path });
  if (answer === 'disconnect' || answer.status !== 200)
    throw new Error(`the reset was answered with ${JSON.stringify(answer)}`);
}
