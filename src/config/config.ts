import { join, resolve } from 'node:path';
import type { ConfigFile } from './schema.ts';

/** What services read. Paths are absolute, amounts in seconds and bytes. */
export type Config = ReturnType<typeof toConfig>;

/** @param machine what defaults depend on: the number of processors */
export function toConfig(file: ConfigFile, root: string, machine: { cpus: number }) {
  const stateDir = resolve(root, file.state_dir);
  return {
    projectName: file.project_name,
    /** Names of the slots, `w1` and so on. */
    slots: file.slots,
    /** Absolute path of the private state. */
    stateDir,
    versions: { maxFileBytes: Math.floor(file.versions.max_file_mb * 1024 * 1024) },
    mcp: { toolsets: file.mcp.toolsets, maxWaitSeconds: file.mcp.max_wait_seconds },
    defaults: {
      backend: file.defaults.backend,
      timeoutSeconds: file.defaults.timeout_seconds,
      stopGraceSeconds: file.defaults.stop_grace_seconds,
      /** Runs of one pipeline run at once; null: as many as there is capacity for. */
      maxParallel: file.defaults.max_parallel,
    },
    storage: {
      backend: file.storage.backend,
      /** Absolute path of the stored objects. */
      local: {
        path:
          file.storage.local.path === null
            ? join(stateDir, 'objects')
            : resolve(root, file.storage.local.path),
      },
    },
    process: {
      sandbox: file.process.sandbox,
      /** Name or path of the interpreter behind a first word `python`. */
      python: file.process.python,
      /** Runs at once on this machine: its capacity. */
      maxParallel: file.process.max_parallel ?? Math.max(2, machine.cpus),
    },
    audit: { minReasonLength: file.audit.min_reason_length },
  };
}
