import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type Header, pack } from 'tar-stream';
import type { JobDocument } from '../../../src/backends/gce/job-document.ts';
import { systemIds } from '../../../src/core/ids.ts';
import type { Rig } from './worker-rig.ts';

export const DIGEST = `sha256:${'ab'.repeat(32)}`;

export type Entry = Partial<Header> & { name: string; text?: string };

export async function archive(entries: readonly Entry[]): Promise<Buffer> {
  const tar = pack();
  const whole = buffer(tar);
  for (const { text, ...header } of entries) tar.entry({ mode: 0o644, ...header }, text ?? '');
  tar.finalize();
  return whole;
}

/** Root without its powers, as a stage has it here, is not the user whom the folders were given to. */
const OPEN = 'set -e; chmod 777 "$GOLDFISH_OUTPUTS" "$GOLDFISH_CONTROL" "$GOLDFISH_CHECKPOINTS"; ';

/** A job whose program is a process of this machine, in the folder of its code: a text for `sh`. */
export async function processJob(
  rig: Rig,
  script: string,
  change: Partial<JobDocument> & { code?: never; timeoutSeconds?: number; stopGraceSeconds?: number } = {},
): Promise<JobDocument> {
  const { timeoutSeconds = 600, stopGraceSeconds = 5, ...rest } = change;
  const runId = systemIds.run();
  const prefix = `runs/${runId}/1/`;
  const at = (...path: string[]): string => join(rig.job, ...path);
  const environment = {
    GOLDFISH_RUN_ID: runId,
    GOLDFISH_ATTEMPT: '1',
    GOLDFISH_INPUTS: at('inputs'),
    GOLDFISH_OUTPUTS: at('attempt', 'outputs'),
    GOLDFISH_CONTROL: at('attempt', 'control'),
    GOLDFISH_CHECKPOINTS: at('checkpoints'),
    GOLDFISH_CONFIG: at('attempt', 'config.json'),
  };
  return {
    schema: 1,
    runId,
    attempt: 1,
    prefix,
    limitSeconds: 600,
    syncSeconds: 0.5,
    code: await rig.store(`code/${runId}.tar`, await archive([{ name: 'main.txt', text: 'the code\n' }])),
    files: [{ path: 'attempt/config.json', text: '{"config": {}}', owner: 'stage' }],
    folders: ['attempt/outputs', 'attempt/control', 'attempt/tmp'],
    inputs: [],
    checkpoints: [],
    image: { reference: `registry.example/p/goldfish@${DIGEST}`, login: 'none' },
    user: { uid: 1000, gid: 1000 },
    containers: [{ name: `goldfish-${runId}-1`, body: containerBody(['true'], runId, environment) }],
    preflight: [],
    wrapper: {
      schema: 2,
      runId,
      attempt: 1,
      timeoutSeconds,
      stopGraceSeconds,
      wakeSocket: null,
      ranks: [
        {
          rank: 0,
          control: at('attempt', 'control'),
          program: {
            kind: 'process',
            argv: ['/bin/sh', '-c', OPEN + script],
            cwd: at('code'),
            environment: { PATH: '/usr/bin:/bin' },
            goldfishEnvironment: environment,
            memoryBytes: null,
            pidsLimit: null,
            cpus: null,
            sandbox: null,
          },
        },
      ],
    },
    secrets: false,
    outputs: [],
    ...rest,
  };
}

/** The same job with its program in a container of the engine. */
export async function containerJob(
  rig: Rig,
  argv: string[],
  change: Partial<JobDocument> & { code?: never } = {},
): Promise<JobDocument> {
  const job = await processJob(rig, '', change);
  const [rank] = job.wrapper['ranks'] as [{ control: string; program: { goldfishEnvironment: object } }];
  const name = `goldfish-${job.runId}-1`;
  const environment = rank.program.goldfishEnvironment as Record<string, string>;
  const program = { kind: 'container', engine: rig.environment['GOLDFISH_WORKER_ENGINE'], container: name };
  return {
    ...job,
    containers: [{ name, body: containerBody(argv, job.runId, environment) }],
    wrapper: {
      ...job.wrapper,
      ranks: [{ rank: 0, control: rank.control, program: { ...program, init: true } }],
    },
  };
}

function containerBody(argv: string[], runId: string, environment: Record<string, string>) {
  const init = join(import.meta.dirname, '../../../runtime/container_init.py');
  return {
    Image: DIGEST,
    Entrypoint: ['python3'],
    Cmd: ['-I', '-S', '-B', init, '--', ...argv],
    Env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    Labels: { 'goldfish.run': runId },
    HostConfig: { NetworkMode: 'none' },
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
  };
}
