import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import {
  type JobDocument,
  jobSchema,
  type MachineSettingsDocument,
  machineSettingsSchema,
} from '../../../src/backends/gce/job-document.ts';
import { assetPath } from '../../../src/core/assets.ts';
import { systemIds } from '../../../src/core/ids.ts';
import { assignmentSchema, claimKey, type Letter, letterSchema } from '../../../src/pool/documents.ts';
import { createMetadata } from '../../gce-simulator/metadata.ts';
import { type MetadataServer, startMetadataServer } from '../../gce-simulator/metadata-server.ts';
import { createRunningTime } from '../../gce-simulator/time.ts';
import type { Fault } from '../../gcs-emulator/faults.ts';
import { type EmulatorProcess, startEmulatorProcess } from '../../support/gcs-emulator-process.ts';
import { PYTHON } from '../../support/run-wrapper.ts';
import { until } from '../until.ts';
import { type MachineEngine, startMachineEngine } from './machine-engine.ts';

const BUCKET = 'project-bucket';
/** Everything of the project is below it. */
const PREFIX = 'my/prefix/';
export const TOKEN = 'token-of-the-machine';
/** The machine has little time for us: others use it too. */
const PATIENCE_SECONDS = 90;

/** A file of the bucket, as documents name it. */
export type Stored = { object: string; sha256: string; size: number };
export type Result = Record<string, unknown> & {
  outputs: { path: string; kind: string; object: string; sha256: string; size: number }[];
};

/** The bucket of all machines of a test file. */
async function startBucket(): Promise<EmulatorProcess> {
  const emulator = await startEmulatorProcess();
  await emulator.makeBucket(BUCKET);
  return emulator;
}

/** One bucket for the tests of a file, and for each of them a machine of its own. */
export function openForEach(use: (rig: Rig) => void | Promise<void>): void {
  let bucket: EmulatorProcess;
  let rig: Rig;
  beforeAll(async () => {
    bucket = await startBucket();
  });
  beforeEach(async () => {
    rig = await new Rig(bucket).open();
    await use(rig);
  });
  afterEach(() => rig.close());
  afterAll(() => bucket.stop());
}

/**
 * A rented machine and what it talks to: the real worker program in a process of this machine, its root moved to a folder of
 * the test; the bucket, metadata server and Compute API on loopback; a container engine on a socket.
 */
export class Rig {
  readonly home = mkdtempSync(join(tmpdir(), 'goldfish-worker-'));
  readonly root = join(this.home, 'root');
  readonly job = join(this.root, 'job');
  readonly worker = systemIds.worker();
  /** Requests that reached the Compute API: method, path, authorization. */
  readonly computeCalls: { asked: string; authorization: string | undefined }[] = [];
  readonly attributes: Record<string, string> = {};
  preempted = false;
  /** What the worker program printed, over all its boots. */
  console = '';
  readonly emulator: EmulatorProcess;
  engine!: MachineEngine;
  #metadataServer!: MetadataServer;
  #compute!: Server;
  #child: ChildProcess | undefined;
  #number = 0;
  #assigned = '0';
  readonly #metadata = createMetadata({
    time: createRunningTime(),
    tree: () => ({
      instance: {
        attributes: this.attributes,
        name: this.worker,
        preempted: this.preempted ? 'TRUE' : 'FALSE',
        zone: 'projects/1/zones/us-central1-a',
        'service-accounts': { default: { email: 'a@b' } },
      },
      project: { 'project-id': 'demo' },
    }),
  });

  constructor(emulator: EmulatorProcess) {
    this.emulator = emulator;
  }

  async open(): Promise<this> {
    this.engine = await startMachineEngine(this.#socket);
    const metadata = this.#metadata;
    this.#metadataServer = await startMetadataServer({ metadata, host: '127.0.0.1', port: 0, token: TOKEN });
    this.#compute = createServer((request, response) => {
      const { authorization } = request.headers;
      this.computeCalls.push({ asked: `${request.method} ${request.url}`, authorization });
      response.writeHead(200).end('{}');
    });
    await new Promise<void>((resolve) => this.#compute.listen(0, '127.0.0.1', resolve));
    return this;
  }

  async close(): Promise<void> {
    await this.cutPower();
    await this.engine.close();
    this.#compute.closeAllConnections();
    this.#compute.close();
    await this.#metadataServer.close();
    await this.noFaults();
    await this.#forgetKey();
    rmSync(this.home, { recursive: true, force: true });
  }

  /** Memory of this machine is not gone with the power of that one. */
  async #forgetKey(): Promise<void> {
    const folder = await readFile(join(this.root, 'key-folder'), 'utf8').catch(() => undefined);
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }

  get #socket(): string {
    return join(this.home, 'engine.sock');
  }

  // --- the machine ---------------------------------------------------------------------------------------------------

  settings(change: Partial<MachineSettingsDocument> = {}): MachineSettingsDocument {
    const { port } = this.#compute.address() as AddressInfo;
    return machineSettingsSchema.parse({
      schema: 1,
      worker: this.worker,
      profile: 'cpu-small',
      image: 'projects/debian-cloud/global/images/family/debian-12',
      bucket: BUCKET,
      bucketPrefix: PREFIX,
      storageEndpoint: this.emulator.url,
      computeEndpoint: `http://127.0.0.1:${port}`,
      program: { object: 'programs/none.tar', sha256: '0'.repeat(64), size: 1 },
      idleSeconds: 600,
      lifeSeconds: 3600,
      singleUse: false,
      accelerators: false,
      dataDisks: [],
      ...change,
    });
  }

  get environment(): Record<string, string> {
    return {
      PATH: process.env['PATH'] ?? '/usr/bin:/bin',
      GCE_METADATA_HOST: this.#metadataServer.address,
      GOLDFISH_WORKER_ROOT: this.root,
      GOLDFISH_WORKER_ENGINE: `unix://${this.#socket}`,
    };
  }
  readonly program = assetPath('runtime/worker/worker_main.py');

  /** Starts the worker program; settings are those of the first boot unless they are changed. */
  boot(change: Partial<MachineSettingsDocument> = {}, environment: Record<string, string> = {}): void {
    const before = this.attributes['goldfish-worker'];
    const settings = before === undefined ? this.settings(change) : { ...JSON.parse(before), ...change };
    this.setAttribute('goldfish-worker', JSON.stringify(settings));
    this.start(this.program, environment);
  }

  start(program: string, environment: Record<string, string> = {}): void {
    const child = spawn(PYTHON, ['-I', '-S', '-B', program], {
      env: { ...this.environment, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (said: string) => {
        this.console += said;
      });
    this.#child = child;
  }

  /** Once more beside the one that runs; what it said when it has ended. */
  async startAgain(): Promise<string> {
    const child = spawn(PYTHON, ['-I', '-S', '-B', this.program], {
      env: this.environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    return text(child.stdout);
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  /** Whether its program has ended by itself. */
  get isOff(): boolean {
    return this.#child?.exitCode !== null;
  }

  /** Everything on the machine dies at once. */
  async cutPower(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    const ended = child.exitCode === null && child.signalCode === null;
    const gone = ended ? new Promise((resolve) => child.once('exit', resolve)) : Promise.resolve();
    child.kill('SIGKILL');
    await gone;
    try {
      const wrapper = readFileSync(join(this.job, 'attempt', 'wrapper.json'), 'utf8');
      process.kill((JSON.parse(wrapper) as { pid: number }).pid, 'SIGKILL');
    } catch {
      // It has none.
    }
  }

  setAttribute(name: string, value: string): void {
    this.attributes[name] = value;
    this.#metadata.changed();
  }

  /** What the machine is told 30 s before it is taken away. */
  preempt(): void {
    this.preempted = true;
    this.#metadata.changed();
  }

  // --- the bucket ----------------------------------------------------------------------------------------------------

  async put(key: string, data: string | Uint8Array, generation?: string): Promise<string> {
    const condition = generation === undefined ? '' : `&ifGenerationMatch=${generation}`;
    const name = encodeURIComponent(`${PREFIX}${key}`);
    const url = `${this.emulator.url}/upload/storage/v1/b/${BUCKET}/o?uploadType=media&name=${name}${condition}`;
    const response = await fetch(url, { method: 'POST', body: Buffer.from(data) });
    if (!response.ok) throw new Error(`${key} was refused: ${response.status}`);
    return ((await response.json()) as { generation: string }).generation;
  }

  async store(key: string, data: string | Uint8Array): Promise<Stored> {
    await this.put(key, data);
    const bytes = Buffer.from(data);
    return { object: key, sha256: createHash('sha256').update(bytes).digest('hex'), size: bytes.length };
  }

  async read(key: string): Promise<Buffer | undefined> {
    const name = encodeURIComponent(`${PREFIX}${key}`);
    const response = await fetch(`${this.emulator.url}/storage/v1/b/${BUCKET}/o/${name}?alt=media`);
    return response.status === 200 ? Buffer.from(await response.arrayBuffer()) : undefined;
  }

  async json<T>(key: string): Promise<T | undefined> {
    const data = await this.read(key);
    return data && (JSON.parse(data.toString()) as T);
  }

  async list(prefix: string): Promise<string[]> {
    const url = `${this.emulator.url}/storage/v1/b/${BUCKET}/o?prefix=${encodeURIComponent(PREFIX + prefix)}`;
    const { items } = (await (await fetch(url)).json()) as { items: { name: string }[] };
    return items.map(({ name }) => name.slice(PREFIX.length));
  }

  /** The pieces of a file, joined, as a controller does it. */
  async joined(prefix: string): Promise<string> {
    const pieces = await this.list(`${prefix}/`);
    let whole = Buffer.alloc(0);
    for (const key of pieces.sort()) {
      if (Number(key.slice(prefix.length + 1)) !== whole.length) throw new Error(`${key} leaves a gap`);
      whole = Buffer.concat([whole, (await this.read(key))!]);
    }
    return whole.toString();
  }

  async fault(...faults: Fault[]): Promise<void> {
    const whole = faults.map((fault) =>
      fault.name === undefined ? fault : { ...fault, name: PREFIX + fault.name },
    );
    await fetch(`${this.emulator.url}/emulator/faults`, { method: 'POST', body: JSON.stringify(whole) });
  }

  /** What has been asked of the storage over all tests of the file, in its order, what it refused included. */
  async requests(): Promise<string[]> {
    return (await (await fetch(`${this.emulator.url}/emulator/requests`)).json()) as string[];
  }

  async moreRequests(what: string): Promise<void> {
    const before = (await this.requests()).length;
    await this.until(async () => (await this.requests()).length >= before + 4, what);
  }

  async noFaults(): Promise<void> {
    await fetch(`${this.emulator.url}/emulator/faults`, { method: 'DELETE' });
  }

  // --- the controller ------------------------------------------------------------------------------------------------

  /** Names a job of the machine, after its document is in the bucket. */
  async assign(job: JobDocument): Promise<JobDocument> {
    await this.put(`${job.prefix}job.json`, JSON.stringify(jobSchema.parse(job)));
    await this.name(job);
    return job;
  }

  async name({ runId, attempt, prefix }: Pick<JobDocument, 'runId' | 'attempt' | 'prefix'>): Promise<void> {
    this.#number += 1;
    const { worker } = this;
    const document = { schema: 1, worker, number: this.#number, job: { runId, attempt, prefix } };
    const key = `workers/${this.worker}/assignment.json`;
    this.#assigned = await this.put(key, JSON.stringify(assignmentSchema.parse(document)), this.#assigned);
    this.setAttribute('goldfish-poke', `${this.#number}`);
  }

  claim(job: Pick<JobDocument, 'prefix'>, number = this.#number): string {
    return claimKey({ prefix: job.prefix, worker: this.worker, number });
  }

  async letter(): Promise<Letter | undefined> {
    const found = await this.json(`workers/${this.worker}/state.json`);
    return found === undefined ? undefined : letterSchema.parse(found);
  }

  /** Waits for a letter that says so. */
  async told(wanted: Partial<Letter>): Promise<Letter> {
    let seen: Letter | undefined;
    await this.until(
      async () => {
        seen = await this.letter();
        const letter = seen;
        return (
          letter !== undefined &&
          Object.entries(wanted).every(([name, value]) => letter[name as keyof Letter] === value)
        );
      },
      `a letter that says ${JSON.stringify(wanted)}`,
    );
    return seen!;
  }

  /** The result document, once it is there. */
  async result(job: Pick<JobDocument, 'prefix'>): Promise<Result> {
    await this.until(async () => (await this.read(`${job.prefix}exit.json`)) !== undefined, 'a result');
    return (await this.json<Result>(`${job.prefix}exit.json`))!;
  }

  async until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
    await until(condition, what, PATIENCE_SECONDS).catch((error: Error) => {
      throw new Error(`${error.message}; the machine said:\n${this.console}`);
    });
  }
}
