import { describe, expect, it } from 'vitest';
import { createFastSimulator, instanceRequest, type Json, SPOT, ZONE } from './fast-simulator.ts';

const INSTANCES = `zones/${ZONE}/instances`;
const type = (name: string): Json => ({ machineType: `zones/${ZONE}/machineTypes/${name}` });
const cards = (name: string, count = 1): Json => ({
  guestAccelerators: [{ acceleratorType: `zones/${ZONE}/acceleratorTypes/${name}`, acceleratorCount: count }],
});
const boot = instanceRequest().disks[0];
const TERMINATE = { onHostMaintenance: 'TERMINATE' };

async function refusal(changes: Json): Promise<string> {
  const sim = createFastSimulator();
  const { status, body } = await sim.call('POST', INSTANCES, instanceRequest(changes));
  expect([sim.instances(), sim.disks()]).toEqual([[], []]);
  return `${status} ${body.error.errors[0].reason}: ${body.error.message}`;
}

describe('a machine is refused', () => {
  it.each([
    [{ name: 'M1' }, "400 invalid: Invalid value for field 'resource.name': 'M1'. Must be a match of regex"],
    [{ name: 7 }, "400 invalid: Invalid value for field 'resource.name': '7'."],
    [type('n9-standard-4'), "Machine type with name 'n9-standard-4' does not exist in zone 'us-central1-a'."],
    [
      { machineType: 'n2-standard-4' },
      "Invalid value for field 'resource.machineType': 'n2-standard-4'. The URL is malformed.",
    ],
    [{ disks: [] }, "Invalid value for field 'resource.disks': ''."],
    [{ disks: [{ ...boot, boot: false }] }, "Invalid value for field 'resource.disks[0].boot': 'false'."],
    [{ disks: [{ boot: true }] }, 'Boot disk must have a source specified'],
    [
      {
        disks: [
          {
            boot: true,
            initializeParams: { sourceImage: 'projects/debian-cloud/global/images/family/debian-1' },
          },
        ],
      },
      'The referenced image resource cannot be found.',
    ],
    [
      { disks: [{ ...boot, initializeParams: { ...boot.initializeParams, diskSizeGb: '9' } }] },
      'Requested disk size cannot be smaller than the image size (10 GB)',
    ],
    [{ disks: [{ ...boot, source: 'x' }] }, 'Only one of source and initializeParams can be specified.'],
    [
      { disks: [boot, { source: `zones/${ZONE}/disks/none` }] },
      `404 notFound: The resource 'projects/demo/zones/${ZONE}/disks/none' was not found`,
    ],
    [{ networkInterfaces: [] }, '400 required: At least one network interface is required.'],
    [{ labels: { Run: 'r1' } }, "Label key 'Run' violates format constraints."],
    [{ labels: { run: 'R1' } }, "Label value 'R1' violates format constraints."],
    [
      { metadata: { items: [{ key: 'a b', value: '' }] } },
      "Invalid value for field 'resource.metadata.items[0].key': 'a b'.",
    ],
    [{ metadata: { items: [{ key: 'a' }, { key: 'a' }] } }, 'Metadata has duplicate key: a'],
    [
      { metadata: { items: [{ key: 'a', value: 'x'.repeat(262_145) }] } },
      "413 fieldSizeTooLarge: Value for field 'resource.metadata.items[0].value' is too large: maximum size 262144 character(s); actual size 262145.",
    ],
    [{ serviceAccounts: [{ email: 'a@b' }] }, "Invalid value for field 'resource.serviceAccounts[0].scopes'"],
    [
      { serviceAccounts: [{ email: 'a', scopes: ['x'] }] },
      "Invalid value for field 'resource.serviceAccounts[0].email': 'a'.",
    ],
    [{ tags: { items: ['A'] } }, "Invalid value for field 'resource.tags.items': 'A'."],
    [
      { scheduling: { ...SPOT, automaticRestart: true } },
      "400 invalid: Invalid value for field 'resource.scheduling.preemptible': 'true'. Scheduling must have preemptible be false when AutomaticRestart is true.",
    ],
    [
      { scheduling: { ...SPOT, onHostMaintenance: 'MIGRATE' } },
      "Scheduling must have preemptible be false when OnHostMaintenance isn't TERMINATE.",
    ],
    [
      { scheduling: { provisioningModel: 'STANDARD', preemptible: true } },
      "Invalid value for field 'resource.scheduling.preemptible'",
    ],
    [{ scheduling: { instanceTerminationAction: 'DELETE' } }, 'You cannot specify a termination action'],
    [
      { scheduling: { maxRunDuration: { seconds: '600' } } },
      'A limited run time needs a termination action.',
    ],
    [
      { scheduling: { maxRunDuration: { seconds: 29 }, instanceTerminationAction: 'STOP' } },
      'Must be between 30 seconds',
    ],
    [
      type('a2-highgpu-1g'),
      '400 badRequest: Instances with guest accelerators do not support live migration.',
    ],
    [
      { ...type('a2-highgpu-1g'), scheduling: { onHostMaintenance: 'MIGRATE' } },
      'do not support live migration.',
    ],
    [
      { ...type('a2-highgpu-1g'), ...cards('nvidia-tesla-t4'), scheduling: TERMINATE },
      '400 badRequest: [a2-highgpu-1g, nvidia-tesla-t4] features are not compatible for creating instance.',
    ],
    [
      { ...type('a2-highgpu-1g'), ...cards('nvidia-tesla-a100', 2), scheduling: TERMINATE },
      '[a2-highgpu-1g, nvidia-tesla-a100] features are not compatible for creating instance.',
    ],
    [
      { ...cards('nvidia-tesla-t4'), scheduling: TERMINATE },
      '[n2-standard-4, nvidia-tesla-t4] features are not compatible',
    ],
    [
      { ...type('n1-standard-4'), ...cards('nvidia-none'), scheduling: TERMINATE },
      `404 notFound: The resource 'projects/demo/zones/${ZONE}/acceleratorTypes/nvidia-none' was not found`,
    ],
    [
      { ...type('n1-standard-4'), ...cards('nvidia-tesla-t4', 3), scheduling: TERMINATE },
      "guestAccelerators[0].acceleratorCount': '3'.",
    ],
    [
      { ...type('a3-highgpu-1g'), scheduling: TERMINATE },
      'This machine type needs the provisioning model SPOT.',
    ],
  ] as [Json, string][])('%j', async (changes, expected) => {
    expect(await refusal(changes)).toContain(expected);
  });
});

describe('a machine gets', () => {
  it('what the service assumes where nothing is said', async () => {
    const sim = createFastSimulator();
    const { scheduling, disks } = await sim.start();
    expect(scheduling).toEqual({
      onHostMaintenance: 'MIGRATE',
      automaticRestart: true,
      preemptible: false,
      provisioningModel: 'STANDARD',
    });
    expect(disks).toMatchObject([{ boot: true, diskSizeGb: '10', type: 'PERSISTENT', index: 0 }]);
    const spot = await sim.start({ name: 's1', scheduling: { provisioningModel: 'SPOT' } });
    expect(spot.scheduling).toEqual({
      onHostMaintenance: 'TERMINATE',
      automaticRestart: false,
      preemptible: true,
      provisioningModel: 'SPOT',
      instanceTerminationAction: 'STOP',
    });
  });

  it('the accelerators of its type, whether it names them or not', async () => {
    const sim = createFastSimulator();
    for (const [name, changes] of [
      ['a', {}],
      ['b', cards('nvidia-tesla-a100')],
    ] as const) {
      const { guestAccelerators } = await sim.start({
        name,
        ...type('a2-highgpu-1g'),
        ...changes,
        scheduling: TERMINATE,
      });
      expect(guestAccelerators).toMatchObject([{ acceleratorCount: 1 }]);
    }
  });

  it('an id that a double cannot hold, and the default service account by its address', async () => {
    const sim = createFastSimulator();
    const made = await sim.start({ serviceAccounts: [{ email: 'default', scopes: ['cloud-platform'] }] });
    expect(made.id).toMatch(/^\d{19}$/);
    expect(made.serviceAccounts[0].email).toBe('123456789012-compute@developer.gserviceaccount.com');
  });
});

it('knows one project', async () => {
  const sim = createFastSimulator();
  const { body } = await sim.call('GET', '../other/zones');
  expect(body.error).toMatchObject({ code: 404, message: "The resource 'projects/other' was not found" });
});
