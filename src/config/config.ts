import { join, resolve } from 'node:path';
import { referencedName } from './environment-reference.ts';
import { toGce } from './gce.ts';
import { toMonitors } from './monitors.ts';
import { ADDRESS_PATTERN, type ConfigFile } from './schema.ts';
import type { Secrets } from './secrets.ts';

/** What services read. Paths are absolute, amounts in seconds and bytes. */
export type Config = ReturnType<typeof toConfig>;

/** A named amount of compute of the user's own. Null: the file does not say, so the backend's limit holds. */
export type Profile = {
  description: string | null;
  backend: string | null;
  memoryBytes: number | null;
  cpus: number | null;
  gpus: number | null;
  pidsLimit: number | null;
  network: 'none' | 'bridge' | null;
  image: string | null;
  /** Money, in the user's own currency. */
  pricePerHour: number | null;
};

/** What `gc` may free, and when; days count from the last use. Null: never for that reason. */
export type Keep = {
  /** Folders of runs that did not complete, and earlier attempts of those that did. */
  daysFailedRuns: number | null;
  /** Training state of ended runs. */
  daysStageCheckpoints: number | null;
  /** Virtual environments. */
  daysUnusedEnvironments: number | null;
  /** Read-only copies of versions; they are made again when needed. */
  daysUnusedCheckouts: number | null;
  /** While the state is larger, what may go at all goes oldest first, whatever its days. */
  maxBytes: number | null;
  /** With less free on the disk of the state, new work is refused. */
  minFreeBytes: number;
};

const GIB = 1024 ** 3;

/** @param machine what values depend on: the number of processors, the environment */
export function toConfig(
  file: ConfigFile,
  root: string,
  machine: { cpus: number; secrets: Pick<Secrets, 'value'> },
) {
  const stateDir = resolve(root, file.state_dir);
  const parallel = Math.max(2, machine.cpus);
  const { gce, gcs } = toGce(file, machine.secrets);
  return {
    projectName: file.project_name,
    /** Names of the slots, `w1` and so on. */
    slots: file.slots,
    /** Absolute path of the private state. */
    stateDir,
    /** Absolute paths of the folders outside the project that sources may be registered from. */
    dataRoots: file.data_roots.map((path) => resolve(root, path)),
    versions: { maxFileBytes: Math.floor(file.versions.max_file_mb * 1024 * 1024) },
    mcp: {
      toolsets: file.mcp.toolsets,
      /** Only tools that change nothing are offered and accepted. */
      readOnly: file.mcp.read_only,
      maxWaitSeconds: file.mcp.max_wait_seconds,
    },
    defaults: toDefaults(file.defaults),
    storage: {
      backend: file.storage.backend,
      /** Absolute path of the stored objects. */
      local: {
        path:
          file.storage.local.path === null
            ? join(stateDir, 'objects')
            : resolve(root, file.storage.local.path),
      },
      /** The bucket of rented machines; null: none. */
      gcs,
      keep: toKeep(file.storage.keep),
    },
    process: {
      sandbox: file.process.sandbox,
      /** Name or path of the interpreter behind a first word `python`. */
      python: file.process.python,
      /** Runs at once on this machine: its capacity. */
      maxParallel: file.process.max_parallel ?? parallel,
    },
    docker: {
      ...toDockerHost(file.docker.host, machine.secrets),
      /** What stages run in that name no image. */
      baseImage: file.docker.base_image,
      /** By profile. */
      images: file.docker.images,
      network: file.docker.network,
      memoryBytes: file.docker.memory,
      cpus: file.docker.cpus,
      pidsLimit: file.docker.pids_limit,
      /** `user:group`, as numbers. */
      user: file.docker.user,
      maxParallel: file.docker.max_parallel ?? parallel,
      /** How many runs may use at once. */
      gpus: file.docker.gpus,
    },
    /** Rented machines; null: none. */
    gce,
    profiles: toProfiles(file.profiles),
    audit: { minReasonLength: file.audit.min_reason_length },
  };
}

function toDefaults(defaults: ConfigFile['defaults']) {
  return {
    backend: defaults.backend,
    profile: defaults.profile,
    timeoutSeconds: defaults.timeout_seconds,
    /** How long a run may take from its claim to its program. */
    launchTimeoutSeconds: defaults.launch_timeout_seconds,
    /** How long a place for a rented machine is looked for; 0: each is tried once. */
    capacityWaitSeconds: defaults.capacity_wait_seconds,
    /** Null: no sign of life is expected. */
    heartbeatTimeoutSeconds: defaults.heartbeat_timeout_seconds,
    /** How often a rented machine sends logs, metrics and checkpoints while it runs something. */
    logSyncSeconds: defaults.log_sync_interval,
    stopGraceSeconds: defaults.stop_grace_seconds,
    /** Runs of one pipeline run at once; null: as many as there is capacity for. */
    maxParallel: defaults.max_parallel,
    /** How often a run may be started anew by itself. */
    maxRestarts: defaults.max_restarts,
    /** What watches a run while it goes on, and what is done then. */
    monitors: toMonitors(defaults.monitors),
  };
}

/** A connection that the environment should name and does not must not fall back to another one. */
function toDockerHost(
  written: string | null,
  secrets: Pick<Secrets, 'value'>,
): {
  /** Null: $DOCKER_HOST, else the usual socket. */
  host: string | null;
  /** Why `host` does not hold what the file asks for: the engine must not be asked then. */
  hostProblem: string | null;
} {
  const name = referencedName(written ?? undefined);
  if (name === undefined) return { host: written, hostProblem: null };
  const host = secrets.value(name);
  if (host === undefined) return { host: null, hostProblem: `docker.host names ${name}, which is not set` };
  if (!ADDRESS_PATTERN.test(host)) {
    return { host: null, hostProblem: `docker.host names ${name}, which holds no address` };
  }
  return { host, hostProblem: null };
}

function toKeep(keep: ConfigFile['storage']['keep']): Keep {
  return {
    daysFailedRuns: keep.days_failed_runs,
    daysStageCheckpoints: keep.days_stage_checkpoints,
    daysUnusedEnvironments: keep.days_unused_environments,
    daysUnusedCheckouts: keep.days_unused_checkouts,
    maxBytes: keep.max_gb === null ? null : Math.floor(keep.max_gb * GIB),
    minFreeBytes: Math.floor(keep.min_free_gb * GIB),
  };
}

export function toProfiles(profiles: ConfigFile['profiles']): Record<string, Profile> {
  const entries = Object.entries(profiles).map(([name, profile]): [string, Profile] => [
    name,
    {
      description: profile.description ?? null,
      backend: profile.backend ?? null,
      memoryBytes: profile.memory ?? null,
      cpus: profile.cpus ?? null,
      gpus: profile.gpus ?? null,
      pidsLimit: profile.pids_limit ?? null,
      network: profile.network ?? null,
      image: profile.image ?? null,
      pricePerHour: profile.price_per_hour ?? null,
    },
  ]);
  return Object.fromEntries(entries);
}
