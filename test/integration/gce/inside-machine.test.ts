import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../../scripts/setup/test-image.ts';
import { machineSettingsSchema } from '../../../src/backends/gce/job-document.ts';
import { bootstrapScript, workerProgram } from '../../../src/backends/gce/worker-program.ts';
import { systemIds } from '../../../src/core/ids.ts';
import { type Letter, letterKey, letterSchema } from '../../../src/pool/documents.ts';
import { docker } from '../../contracts/docker-under-test.ts';
import { type EmulatorProcess, startEmulatorProcess } from '../../support/gcs-emulator-process.ts';
import { until } from '../until.ts';
import { type MachineRig, openMachineRig } from './machine-rig.ts';
import { hasMachines, NEEDS_MACHINES } from './needs.ts';

const BUCKET = 'project-bucket';

const ASKS_METADATA = `#!/usr/bin/python3
import os, urllib.request
for path in ("name", "zone", "attributes/job", "disks/0/device-name"):
    url = "http://%s/computeMetadata/v1/instance/%s" % (os.environ["GCE_METADATA_HOST"], path)
    request = urllib.request.Request(url, headers={"Metadata-Flavor": "Google"})
    print(path, "is", urllib.request.urlopen(request).read().decode(), flush=True)
`;

/** Makes an image of nothing but links into /usr, and runs a container that is as shut in as a stage is. */
const RUNS_A_CONTAINER = `#!/bin/sh
set -eu
ask() { curl -sSf --unix-socket /var/run/docker.sock "$@"; }
post() { ask -X POST -H 'Content-Type: application/json' "$@"; }
until ask http://d/_ping > /dev/null 2>&1; do sleep 0.1; done
echo "images: $(ask http://d/images/json), containers: $(ask 'http://d/containers/json?all=1')"
mkdir -p /tmp/root/usr /tmp/root/proc /tmp/root/sys /tmp/root/dev /tmp/root/etc
for name in bin sbin lib lib64; do ln -s usr/$name /tmp/root/$name; done
tar -C /tmp/root -c . | ask -X POST -H 'Content-Type: application/x-tar' --data-binary @- \\
  'http://d/images/create?fromSrc=-&repo=inner' > /dev/null
post 'http://d/containers/create?name=one' -d '{
  "Image": "inner", "User": "1000:1000",
  "Cmd": ["/bin/sh", "-c", "echo user $(id -u), networks $(ls /sys/class/net)"],
  "HostConfig": {
    "Binds": ["/usr:/usr:ro"], "NetworkMode": "none", "CapDrop": ["ALL"], "ReadonlyRootfs": true,
    "Memory": 67108864, "MemorySwap": 67108864, "PidsLimit": 50, "NanoCpus": 500000000
  }
}' > /dev/null
post http://d/containers/one/start
echo "ended: $(post http://d/containers/one/wait)"
echo "said: $(ask 'http://d/containers/one/logs?stdout=1&stderr=1' | tail -c +9)"
`;

describe.skipIf(!hasMachines)(`inside a machine that is a container${NEEDS_MACHINES}`, () => {
  let rig: MachineRig;
  let storage: EmulatorProcess;
  beforeAll(async () => {
    rig = openMachineRig();
    storage = await startEmulatorProcess();
    await storage.makeBucket(BUCKET);
  });
  afterAll(async () => {
    await rig.close();
    await storage.stop();
  });

  it('the metadata server answers, with what is of this machine', async () => {
    await rig.insert('asks', ASKS_METADATA, { attributes: { job: '7' } });
    const shown = await rig.shows('asks', 'exit status');
    expect(shown.split('\n').filter((line) => line.includes(' is '))).toEqual([
      'name is asks',
      'zone is projects/123456789012/zones/us-central1-a',
      'attributes/job is 7',
      'disks/0/device-name is persistent-disk-0',
    ]);
  });

  it('is a container engine of its own, without the images of its host, which shuts containers in', async () => {
    expect((await docker.getImage(TEST_IMAGE).inspect()).Id).toMatch(/^sha256:/);
    await rig.insert('engine', RUNS_A_CONTAINER);
    const shown = await rig.shows('engine', 'exit status');
    expect(shown).toContain('images: [], containers: []\n');
    expect(shown).toMatch(/^ended: \{.*"StatusCode":0\}$/m);
    expect(shown).toContain('said: user 1000, networks lo\n');
    expect(await docker.listImages({ filters: { reference: ['inner'] } })).toEqual([]);
  });

  const letterOf = async (worker: string): Promise<Letter | undefined> => {
    const name = encodeURIComponent(letterKey(worker));
    const response = await fetch(`${storage.url}/storage/v1/b/${BUCKET}/o/${name}?alt=media`);
    return response.status === 200 ? letterSchema.parse(await response.json()) : undefined;
  };
  const toldIdle = async (worker: string, boot: number): Promise<Letter> => {
    let letter: Letter | undefined;
    const look = async (): Promise<boolean> => {
      letter = await letterOf(worker);
      return letter?.boot === boot && letter.phase === 'idle';
    };
    await until(look, `the letter of boot ${boot}`, 60).catch(async (error: Error) => {
      throw new Error(`${error.message}; the serial port shows:\n${await rig.serial(worker)}`);
    });
    return letter!;
  };

  it('the bootstrap fetches the worker program, which says that it is idle, at the second boot too', async () => {
    const worker = systemIds.worker();
    const { archive, ...program } = await workerProgram();
    const name = encodeURIComponent(program.object);
    const upload = `${storage.url}/upload/storage/v1/b/${BUCKET}/o?uploadType=media&name=${name}`;
    expect((await fetch(upload, { method: 'POST', body: new Uint8Array(archive) })).status).toBe(200);
    const settings = machineSettingsSchema.parse({
      schema: 1,
      worker,
      profile: 'cpu-small',
      image: 'projects/debian-cloud/global/images/family/debian-12',
      bucket: BUCKET,
      bucketPrefix: '',
      storageEndpoint: storage.url,
      computeEndpoint: 'http://127.0.0.1:9',
      program,
      idleSeconds: 600,
      lifeSeconds: 3600,
      singleUse: false,
      accelerators: false,
      dataDisks: [],
    });
    await rig.insert(worker, await bootstrapScript(), {
      attributes: { 'goldfish-worker': JSON.stringify(settings) },
    });
    expect(await toldIdle(worker, 1)).toMatchObject({
      worker,
      number: 0,
      job: 'none',
      leaves: null,
      publicKey: expect.stringContaining('BEGIN PUBLIC KEY'),
      images: [],
    });
    await rig.operate('reset', worker);
    await toldIdle(worker, 2);
    const fetched = (await rig.serial(worker)).split('fetches the worker program').length - 1;
    expect(fetched).toBe(1);
  });
});
