import { join } from 'node:path';
import type { z } from 'zod';
import { bind, containerName } from '../container.ts';
import { INSIDE, stageContainer } from '../container-stage.ts';
import type { RunSpec } from '../port.ts';
import { configDocument } from '../stage-document.ts';
import type { WrapperSpec } from '../wrapper-spec.ts';
import type { StoredObject } from './bucket-files.ts';
import type { JobDocument } from './job-document.ts';
import { limitOf, type NamedGceProfile, processorsOf } from './job-request.ts';
import { diskFolder, MACHINE, programFolder, rankFolder } from './machine-places.ts';
import type { rentedRuntimeSchema } from './runtime.ts';

export type JobParts = {
  spec: RunSpec;
  prefix: string;
  profile: NamedGceProfile;
  runtime: z.output<typeof rentedRuntimeSchema>;
  /** Of the worker program, whose folder on the machine has what containers read of ours. */
  program: string;
  code: StoredObject;
  inputs: JobDocument['inputs'];
  checkpoints: JobDocument['checkpoints'];
  syncSeconds: number;
  /** `user:group`. */
  user: string;
  projectMark: string;
};

/** What a machine is to do, whole. Nothing in it is a text for a shell, and no secret. */
export function jobDocument(parts: JobParts): JobDocument {
  const { spec, prefix, profile, runtime } = parts;
  const ranks = Array.from({ length: spec.resources.nodes }, (_, rank) => rank);
  const [uid = 0, gid = 0] = parts.user.split(':').map(Number);
  return {
    schema: 1,
    runId: spec.runId,
    attempt: spec.attempt,
    prefix,
    limitSeconds: limitOf(spec),
    syncSeconds: parts.syncSeconds,
    code: parts.code,
    files: ranks.map((rank) => ({
      path: `${rankFolder(rank)}/config.json`,
      text: JSON.stringify(configDocument(spec, INSIDE)),
      owner: 'stage',
    })),
    folders: ranks.flatMap((rank) => foldersOf(spec, rank)),
    inputs: parts.inputs,
    checkpoints: parts.checkpoints,
    image: { reference: runtime.reference, login: loginOf(runtime.reference) },
    user: { uid, gid },
    containers: ranks.map((rank) => containerOf(parts, rank)),
    preflight: profile.profile.preflight.map((command) => [...command]),
    wrapper: { ...wrapperOf(spec, { ranks, python: runtime.python }) },
    secrets: Object.keys(spec.secrets).length > 0,
    outputs: spec.outputs.map(({ type, fileName }) => ({
      path: `attempt/outputs/${fileName}`,
      kind: type === 'directory' ? 'folder' : 'file',
    })),
  };
}

function foldersOf(spec: RunSpec, rank: number): string[] {
  const own = rankFolder(rank);
  const made = spec.outputs.flatMap(({ type, fileName }) =>
    type === 'directory' ? [`${own}/outputs/${fileName}`] : [],
  );
  return [`${own}/outputs`, `${own}/control`, `${own}/tmp`, ...made];
}

function containerOf(parts: JobParts, rank: number): JobDocument['containers'][number] {
  const { spec, runtime, program, profile } = parts;
  const own = join(MACHINE.job, rankFolder(rank));
  const ours = programFolder(program);
  const { name, ...body } = stageContainer({
    spec,
    rank,
    paths: {
      runtime: join(ours, 'runtime'),
      pythonLibrary: join(ours, 'sdk', 'python'),
      nodeLibrary: join(ours, 'sdk', 'node'),
      code: MACHINE.code,
      config: join(own, 'config.json'),
      inputs: MACHINE.inputs,
      // They lie in the folder itself.
      input: new Map(),
      outputs: join(own, 'outputs'),
      control: join(own, 'control'),
      checkpoints: MACHINE.checkpoints,
      temp: join(own, 'tmp'),
    },
    image: runtime.reference,
    pythonPath: runtime.pythonPath,
    init: runtime.python ? 'python' : 'engine',
    user: parts.user,
    machineCpus: processorsOf(profile.profile),
    project: parts.projectMark,
  });
  const disks = profile.profile.dataDisks.map((disk) => bind(diskFolder(disk.name), disk.mount, 'write'));
  const { HostConfig: host } = body;
  return {
    name,
    body: {
      ...body,
      // A checkpoint is safe when it is in the bucket: the stage library waits for that.
      Env: [...body.Env, 'GOLDFISH_KEPT=wait'],
      HostConfig: { ...host, Mounts: [...host.Mounts, ...disks] },
    },
  };
}

function wrapperOf(spec: RunSpec, of: { ranks: readonly number[]; python: boolean }): WrapperSpec {
  return {
    schema: 2,
    runId: spec.runId,
    attempt: spec.attempt,
    timeoutSeconds: spec.timeoutSeconds,
    stopGraceSeconds: spec.stopGraceSeconds,
    wakeSocket: null,
    ranks: of.ranks.map((rank) => ({
      rank,
      control: join(MACHINE.job, rankFolder(rank), 'control'),
      program: {
        kind: 'container',
        engine: MACHINE.engine,
        container: containerName(spec, rank),
        init: of.python,
      },
    })),
  };
}

/** Google's registries know the machine's account; others are asked without a word. */
function loginOf(reference: string): 'metadata' | 'none' {
  const host = reference.split('/', 1)[0] ?? '';
  return /(^|\.)(pkg\.dev|gcr\.io)$/.test(host) ? 'metadata' : 'none';
}
