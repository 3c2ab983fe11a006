import { cancel } from './cancel.ts';
import { compare } from './compare.ts';
import type { Tool } from './define-tool.ts';
import { inspectRun } from './inspect-run.ts';
import { lineage } from './lineage.ts';
import { listRuns } from './list-runs.ts';
import { logs } from './logs.ts';
import { metrics } from './metrics.ts';
import { initializeProject } from './project.ts';
import { promoteArtifact } from './promote-artifact.ts';
import { run } from './run.ts';
import { checkpoint, hibernate, mount } from './slots.ts';
import { deleteSource, inspectSource, listSources, registerSource } from './sources.ts';
import { status } from './status.ts';
import { validate } from './validate.ts';
import { diff, listVersions } from './versions.ts';
import { wait } from './wait.ts';
import { createWorkspace, inspectWorkspace, listWorkspaces } from './workspaces.ts';

/** Every tool there is, in the order clients show them. */
export const ALL_TOOLS: readonly Tool[] = [
  initializeProject,
  status,
  createWorkspace,
  listWorkspaces,
  inspectWorkspace,
  mount,
  hibernate,
  checkpoint,
  listVersions,
  diff,
  validate,
  run,
  listRuns,
  inspectRun,
  logs,
  wait,
  cancel,
  metrics,
  compare,
  lineage,
  registerSource,
  listSources,
  inspectSource,
  deleteSource,
  promoteArtifact,
];
