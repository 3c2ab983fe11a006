import type { RentedRig } from '../../integration/gce/rented-rig.ts';

/** Of the one machine that runs: it comes up again with its disk, or does not. */
export async function cutPower({ simulator }: RentedRig, blow: 'reset' | 'off'): Promise<void> {
  const [machine, ...others] = simulator.instances().filter(({ status }) => status === 'RUNNING');
  if (machine === undefined || others.length > 0)
    throw new Error(`${others.length + (machine === undefined ? 0 : 1)} machines run where one should`);
  const { name } = machine;
  if (blow === 'off') return simulator.breakHost(name);
  const zone = machine.zone.slice(machine.zone.lastIndexOf('/') + 1);
  const path = `/compute/v1/projects/${simulator.project}/zones/${zone}/instances/${name}/reset`;
  const answer = await simulator.call({ method: 'POST', path });
  if (answer === 'disconnect' || answer.status !== 200)
    throw new Error(`the reset was answered with ${JSON.stringify(answer)}`);
}
