import { auditLog } from './audit-log.ts';
import { backup } from './backup.ts';
import { cancel } from './cancel.ts';
import { compare } from './compare.ts';
import type { Tool } from './define-tool.ts';
import { deleteWorkspace } from './delete-workspace.ts';
import { history } from './history.ts';
import { inspectRun } from './inspect-run.ts';
import { inspectWorkspace } from './inspect-workspace.ts';
import { lineage } from './lineage.ts';
import { listProfiles } from './list-profiles.ts';
import { listRuns } from './list-runs.ts';
import { logs } from './logs.ts';
import { metrics } from './metrics.ts';
import { initializeProject } from './project.ts';
import { promoteArtifact } from './promote-artifact.ts';
import { pruneVersions } from './prune-versions.ts';
import { reloadConfig } from './reload-config.ts';
import { retry } from './retry.ts';
import { rollback } from './rollback.ts';
import { run } from './run.ts';
import { checkpoint, hibernate, mount } from './slots.ts';
import { deleteSource, inspectSource, listSources, registerSource } from './sources.ts';
import { status } from './status.ts';
import { tag } from './tag.ts';
import { logThought } from './thoughts.ts';
import { validate } from './validate.ts';
import { diff, listVersions } from './versions.ts';
import { wait } from './wait.ts';
import { warmPoolCleanup, warmPoolStatus } from './warm-pool.ts';
import { createWorkspace, listWorkspaces } from './workspaces.ts';

/** Every tool there is, in the order clients show them. */
export const ALL_TOOLS: readonly Tool[] = [
  initializeProject,
  status,
  createWorkspace,
  listWorkspaces,
  inspectWorkspace,
  deleteWorkspace,
  mount,
  hibernate,
  checkpoint,
  listVersions,
  diff,
  rollback,
  tag,
  pruneVersions,
  validate,
  run,
  listRuns,
  inspectRun,
  logs,
  wait,
  cancel,
  retry,
  metrics,
  compare,
  history,
  logThought,
  auditLog,
  lineage,
  registerSource,
  listSources,
  inspectSource,
  deleteSource,
  promoteArtifact,
  listProfiles,
  warmPoolStatus,
  warmPoolCleanup,
  backup,
  reloadConfig,
];
