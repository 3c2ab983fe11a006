import type { Cause, StopReason } from './causes.ts';
import type { ToolCall } from './errors.ts';
import type { JsonObject } from './json.ts';
import type { EventSource, RunEventName, RunState, TerminalState } from './run-lifecycle.ts';
import type { SignalType } from './signals.ts';
import type { StagePlan } from './stage-plan.ts';
import type { JobOutcome, WorkerEnd, WorkerState } from './worker-lifecycle.ts';

/** Row types as the services see them. Times are ISO text; `null` is "not (yet)". Mapped to columns in store/ only. */

export type Workspace = {
  name: string;
  goal: string;
  fromWorkspace: string | null;
  fromVersion: number | null;
  createdAt: string;
};

export type Slot = { name: string; workspace: string | null; mountedAt: string | null };

export type VersionOrigin = 'run' | 'checkpoint' | 'fork' | 'manual';

export type WorkspaceVersion = {
  workspace: string;
  version: number;
  gitSha: string;
  treeSha: string;
  createdBy: VersionOrigin;
  message: string;
  createdAt: string;
  prunedAt: string | null;
};

export type ExperimentRecord = {
  id: string;
  kind: 'checkpoint' | 'pipeline_run';
  workspace: string;
  version: number;
  pipelineRunId: string | null;
  snapshotId: string | null;
  message: string;
  createdAt: string;
};

export type PipelineRunState = 'pending' | 'running' | TerminalState;

export type PipelineRun = {
  id: string;
  workspace: string;
  version: number;
  pipeline: string;
  submissionKey: string;
  state: PipelineRunState;
  reason: string;
  /** The arguments of the call, as given. */
  request: JsonObject;
  maxParallel: number | null;
  goldfishVersion: string;
  createdAt: string;
  endedAt: string | null;
  /** The caller's own word for runs that belong together. */
  group: string | null;
  /** The run this call tries again. */
  retryOf: string | null;
};

/** Why a run failed, made once when it ends: what an agent needs to act without reading the whole log. */
export type Failure = {
  class: 'code' | 'data' | 'oom' | 'infra' | 'preempted' | 'timeout' | 'config';
  /** The first line of the program's output that states the error. Untrusted text. */
  firstErrorLine: string | null;
  /** Cursor for `logs` at that line. */
  logCursor: string | null;
  /** The last lines of the log. Untrusted text. */
  logTail: string[];
  retrySafe: boolean;
  /** The system's error behind it (`ENOSPC`), where a call of the system failed. */
  errno?: string;
  /** The call that resolves it, where one is known. */
  next?: ToolCall;
};

export type StageRun = {
  id: string;
  pipelineRunId: string;
  position: number;
  workspace: string;
  version: number;
  stage: string;
  state: RunState;
  cause: Cause | null;
  attempt: number;
  backend: string;
  profile: string;
  plan: StagePlan;
  cacheKey: string | null;
  cacheReason: string | null;
  cachedFrom: string | null;
  exitCode: number | null;
  signal: string | null;
  errorMessage: string | null;
  failure: Failure | null;
  progress: number | null;
  progressMessage: string | null;
  cancelCause: Cause | null;
  cancelReason: string | null;
  createdAt: string;
  startedAt: string | null;
  endedAt: string | null;
  /** Where it is to be started anew: not before this time. */
  notBefore: string | null;
  /** Which repetition of a call it belongs to; 0 is the call itself. */
  replicate: number;
};

export type RunAttempt = {
  runId: string;
  attempt: number;
  externalId: string;
  handle: JsonObject | null;
  rawState: string | null;
  absentSince: string | null;
  absentCount: number;
  stopRequestedAt: string | null;
  /** Why it was asked to stop. */
  stopReason: StopReason | null;
  exitCode: number | null;
  signal: string | null;
  cause: Cause | null;
  result: JsonObject | null;
  metricsOffset: number;
  launchedAt: string | null;
  startedAt: string | null;
  endedAt: string | null;
  releasedAt: string | null;
};

export type RunEvent = {
  seq: number;
  runId: string;
  attempt: number;
  /** `finding`: a monitor noticed something, which changes no state. */
  event: RunEventName | 'submit' | 'finding';
  fromState: RunState | null;
  toState: RunState;
  source: EventSource;
  detail: JsonObject;
  createdAt: string;
};

export type RunInput = {
  runId: string;
  name: string;
  type: SignalType;
  fromRunId: string | null;
  fromSignal: string | null;
  /** Set where it is no run's output but a version of a source. */
  fromSource: string | null;
  fromSourceVersion: number | null;
  hash: string | null;
  stale: boolean;
};

export type StoredOutput = {
  runId: string;
  name: string;
  type: SignalType;
  kind: 'file' | 'folder';
  hash: string;
  size: number;
  storageLocation: string;
  createdAt: string;
};

export type Source = {
  name: string;
  version: number;
  /** Where it came from, as the caller wrote it. */
  uri: string;
  description: string;
  kind: 'file' | 'folder';
  hash: string;
  size: number;
  fingerprint: 'full' | 'sample' | 'declared';
  storageLocation: string;
  metadata: JsonObject;
  /** Set where it is a promoted output. */
  fromRunId: string | null;
  fromSignal: string | null;
  createdAt: string;
  deletedAt: string | null;
};

/** Names a version or a record; exactly one of the two is set. */
export type Tag = {
  workspace: string;
  tag: string;
  version: number | null;
  recordId: string | null;
  createdAt: string;
};

export type Thought = {
  id: string;
  workspace: string | null;
  runId: string | null;
  thought: string;
  actor: string;
  createdAt: string;
};

export type MetricPoint = { name: string; step: number | null; value: number; loggedAt: string };
/** NaN is possible in `last`; min and max ignore it and are null where nothing else was logged. */
export type MetricSummary = {
  name: string;
  last: number | null;
  min: number | null;
  max: number | null;
  count: number;
};

export type AuditRow = {
  id: number;
  operation: string;
  workspace: string | null;
  actor: string;
  reason: string | null;
  outcome: string;
  details: JsonObject;
  createdAt: string;
};

export type SupervisorLease = {
  token: number;
  pid: number | null;
  pidStart: string | null;
  bootId: string | null;
  goldfishVersion: string | null;
  socket: string | null;
  acquiredAt: string | null;
  heartbeatAt: string | null;
};

/** A job is one attempt of a run. */
export type JobKey = { runId: string; attempt: number };

/** Which job a worker has. `number` counts the jobs of the worker from 1. */
export type WorkerLease = JobKey & {
  number: number;
  /** The machine was there already. */
  warm: boolean;
  assignedAt: string;
  /** When it was seen that the machine had begun; null while it may be called off. */
  claimedAt: string | null;
};

/** A rented machine, under the name it has at its provider. Times by the clock of whoever wrote the row. */
export type Worker = {
  id: string;
  state: WorkerState;
  /** False: for one run, however many machines the pool may have. */
  pooled: boolean;
  profile: string;
  /** Machines of equal shape can do the same work. */
  shape: string;
  zone: string | null;
  /** How it is paid for. */
  model: ProvisioningModel | null;
  /** US dollars, or null where the price is not known. */
  pricePerHour: number | null;
  lease: WorkerLease | null;
  /** Of the newest job it was ever given. */
  jobNumber: number;
  /** Of the object that names its job; what is written next replaces this and no other. */
  assignmentGeneration: string | null;
  /** The last letter from the machine, its generation, and when it was noticed here. */
  letter: JsonObject | null;
  letterGeneration: string | null;
  letterAt: string | null;
  createdAt: string;
  /** Since when it is in its state. */
  stateAt: string;
  /** When a machine was asked for in `zone`, and the how manieth place that is. */
  placedAt: string | null;
  placeNumber: number;
  /** When it was first seen running: from then on it costs money. */
  runningAt: string | null;
  /** Since when lists do not show it; null while they do. */
  absentSince: string | null;
  absentCount: number;
  endReason: WorkerEnd | null;
  goneAt: string | null;
};

export type ProvisioningModel = 'standard' | 'spot';

/** A job that a worker had once. */
export type WorkerJob = JobKey & {
  workerId: string;
  number: number;
  warm: boolean;
  assignedAt: string;
  claimedAt: string | null;
  endedAt: string | null;
  outcome: JobOutcome | null;
  /** Why the worker was lost with it. */
  reason: WorkerEnd | null;
};
