-- The whole schema of a project's .goldfish/goldfish.db, as the numbered migrations in src/store/migrations build it
-- (a test proves the two equal). Times are ISO 8601 UTC with milliseconds, durations seconds, sizes bytes,
-- hashes sha256:<hex>. JSON columns end in _json. Several processes share the file: WAL, foreign keys on,
-- synchronous FULL, every write in a short immediate transaction.

CREATE TABLE project (
  id            INTEGER PRIMARY KEY CHECK (id = 1),
  name          TEXT NOT NULL,
  created_at    TEXT NOT NULL
) STRICT;

-- A line of experimentation. The name is the key people type; renaming (a deleted workspace frees its name)
-- cascades to everything that belongs to it.
CREATE TABLE workspaces (
  name             TEXT PRIMARY KEY,
  goal             TEXT NOT NULL,
  from_workspace   TEXT REFERENCES workspaces (name) ON UPDATE CASCADE,
  from_version     INTEGER,
  created_at       TEXT NOT NULL,
  deleted_at       TEXT
) STRICT;

CREATE TABLE slots (
  name             TEXT PRIMARY KEY,
  workspace_name   TEXT UNIQUE REFERENCES workspaces (name) ON UPDATE CASCADE,
  mounted_at       TEXT
) STRICT;

-- Immutable snapshots; numbers are never reused, so rows are never deleted.
CREATE TABLE workspace_versions (
  workspace_name   TEXT NOT NULL REFERENCES workspaces (name) ON UPDATE CASCADE,
  version          INTEGER NOT NULL CHECK (version >= 1),
  git_sha          TEXT NOT NULL,
  tree_sha         TEXT NOT NULL,
  created_by       TEXT NOT NULL CHECK (created_by IN ('run', 'checkpoint', 'fork', 'manual')),
  message          TEXT NOT NULL,
  created_at       TEXT NOT NULL,
  pruned_at        TEXT,
  PRIMARY KEY (workspace_name, version)
) STRICT;

-- The experiment's memory of a checkpoint or a pipeline run.
CREATE TABLE records (
  id               TEXT PRIMARY KEY,
  kind             TEXT NOT NULL CHECK (kind IN ('checkpoint', 'pipeline_run')),
  workspace_name   TEXT NOT NULL REFERENCES workspaces (name) ON UPDATE CASCADE,
  version          INTEGER NOT NULL,
  pipeline_run_id  TEXT UNIQUE REFERENCES pipeline_runs (id),
  snapshot_id      TEXT UNIQUE,
  message          TEXT NOT NULL,
  created_at       TEXT NOT NULL,
  FOREIGN KEY (workspace_name, version) REFERENCES workspace_versions (workspace_name, version) ON UPDATE CASCADE
) STRICT;
CREATE INDEX records_by_workspace ON records (workspace_name, created_at);

-- One call of `run`. Everything the call said is here, so that nothing is lost on the way to the supervisor.
CREATE TABLE pipeline_runs (
  id               TEXT PRIMARY KEY CHECK (id GLOB 'prun-*'),
  workspace_name   TEXT NOT NULL,
  version          INTEGER NOT NULL,
  pipeline_name    TEXT NOT NULL,
  submission_key   TEXT NOT NULL,
  state            TEXT NOT NULL CHECK (state IN ('pending', 'running', 'completed', 'failed', 'terminated', 'canceled')),
  reason           TEXT NOT NULL,
  request_json     TEXT NOT NULL,
  max_parallel     INTEGER,
  goldfish_version TEXT NOT NULL,
  created_at       TEXT NOT NULL,
  ended_at         TEXT,
  group_name       TEXT,
  retry_of         TEXT REFERENCES stage_runs (id),
  FOREIGN KEY (workspace_name, version) REFERENCES workspace_versions (workspace_name, version) ON UPDATE CASCADE
) STRICT;
CREATE INDEX pipeline_runs_by_key ON pipeline_runs (submission_key, created_at);
CREATE INDEX pipeline_runs_by_workspace ON pipeline_runs (workspace_name, created_at);
CREATE INDEX pipeline_runs_by_group ON pipeline_runs (group_name, created_at) WHERE group_name IS NOT NULL;
CREATE INDEX pipeline_runs_open ON pipeline_runs (state) WHERE state IN ('pending', 'running');

-- One execution of one stage. `state` changes only together with a row in run_events.
CREATE TABLE stage_runs (
  id               TEXT PRIMARY KEY CHECK (id GLOB 'stage-*'),
  pipeline_run_id  TEXT NOT NULL REFERENCES pipeline_runs (id),
  position         INTEGER NOT NULL,
  workspace_name   TEXT NOT NULL,
  version          INTEGER NOT NULL,
  stage_name       TEXT NOT NULL,
  state            TEXT NOT NULL CHECK (state IN ('pending', 'preparing', 'building', 'launching', 'running', 'finishing',
                                                  'completed', 'failed', 'terminated', 'canceled')),
  cause            TEXT,
  attempt          INTEGER NOT NULL DEFAULT 1,
  backend_type     TEXT NOT NULL,
  profile          TEXT NOT NULL,
  plan_json        TEXT NOT NULL,
  -- Known once every input's content is known.
  cache_key        TEXT,
  cache_reason     TEXT,
  cached_from      TEXT REFERENCES stage_runs (id),
  exit_code        INTEGER,
  signal           TEXT,
  -- The first error stays; later events never overwrite it.
  error_message    TEXT,
  failure_json     TEXT,
  progress         REAL,
  progress_message TEXT,
  cancel_cause     TEXT,
  cancel_reason    TEXT,
  created_at       TEXT NOT NULL,
  started_at       TEXT,
  ended_at         TEXT,
  -- A run that is to be started anew waits until then.
  not_before       TEXT,
  -- Which repetition of a call it belongs to; 0 is the call itself.
  replicate        INTEGER NOT NULL DEFAULT 0,
  CHECK ((ended_at IS NULL) = (state NOT IN ('completed', 'failed', 'terminated', 'canceled'))),
  CHECK ((cause IS NULL) = (ended_at IS NULL)),
  FOREIGN KEY (workspace_name, version) REFERENCES workspace_versions (workspace_name, version) ON UPDATE CASCADE
) STRICT;
CREATE INDEX stage_runs_by_pipeline_run ON stage_runs (pipeline_run_id, position);
CREATE INDEX stage_runs_by_stage ON stage_runs (workspace_name, stage_name, created_at);
CREATE INDEX stage_runs_by_cache_key ON stage_runs (cache_key) WHERE state = 'completed';
CREATE INDEX stage_runs_open ON stage_runs (backend_type, state)
  WHERE state NOT IN ('completed', 'failed', 'terminated', 'canceled');
CREATE INDEX stage_runs_by_creation ON stage_runs (created_at, id);

-- The DAG within one pipeline run.
CREATE TABLE run_needs (
  run_id           TEXT NOT NULL REFERENCES stage_runs (id),
  needs_run_id     TEXT NOT NULL REFERENCES stage_runs (id),
  PRIMARY KEY (run_id, needs_run_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_needs_reverse ON run_needs (needs_run_id);

-- What backends know of one attempt, kept apart from what it means: raw state, result and handle.
CREATE TABLE run_attempts (
  run_id           TEXT NOT NULL REFERENCES stage_runs (id),
  attempt          INTEGER NOT NULL,
  -- Committed before the backend is asked; deterministic, so that a crash in between is recovered by looking for it.
  external_id      TEXT NOT NULL,
  handle_json      TEXT,
  raw_state        TEXT,
  -- Since when the backend cannot find it; NULL while it is seen or unknown.
  absent_since     TEXT,
  absent_count     INTEGER NOT NULL DEFAULT 0,
  stop_requested_at TEXT,
  exit_code        INTEGER,
  signal           TEXT,
  cause            TEXT,
  result_json      TEXT,
  metrics_offset   INTEGER NOT NULL DEFAULT 0,
  launched_at      TEXT,
  started_at       TEXT,
  ended_at         TEXT,
  released_at      TEXT,
  -- Why an attempt was asked to stop: what comes of it has that cause, whoever sees the end.
  stop_reason      TEXT,
  -- What the monitor of divergence remembers of the points taken in so far.
  trend_json       TEXT,
  PRIMARY KEY (run_id, attempt)
) STRICT;
CREATE INDEX run_attempts_unreleased ON run_attempts (run_id) WHERE released_at IS NULL;

-- What monitors noticed of an attempt: of each monitor and metric the first. '' is no metric: it is about the attempt.
CREATE TABLE run_findings (
  run_id           TEXT NOT NULL REFERENCES stage_runs (id),
  attempt          INTEGER NOT NULL,
  monitor          TEXT NOT NULL CHECK (monitor IN ('stall', 'non_finite', 'divergence')),
  metric           TEXT NOT NULL,
  action           TEXT NOT NULL CHECK (action IN ('warn', 'stop')),
  message          TEXT NOT NULL,
  created_at       TEXT NOT NULL,
  PRIMARY KEY (run_id, attempt, monitor, metric)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_events (
  seq              INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id           TEXT NOT NULL REFERENCES stage_runs (id),
  attempt          INTEGER NOT NULL,
  event            TEXT NOT NULL,
  from_state       TEXT,
  to_state         TEXT NOT NULL,
  source           TEXT NOT NULL CHECK (source IN ('caller', 'supervisor', 'backend')),
  detail_json      TEXT NOT NULL DEFAULT '{}',
  created_at       TEXT NOT NULL
) STRICT;
CREATE INDEX run_events_by_run ON run_events (run_id, seq);

-- What a run reads: by content, whoever made it.
CREATE TABLE run_inputs (
  run_id           TEXT NOT NULL REFERENCES stage_runs (id),
  name             TEXT NOT NULL,
  signal_type      TEXT NOT NULL,
  from_run_id      TEXT REFERENCES stage_runs (id),
  from_signal      TEXT,
  -- NULL until the producer has completed.
  hash             TEXT,
  stale            INTEGER NOT NULL DEFAULT 0,
  -- An input that is no run's output: a version of a source.
  from_source      TEXT,
  from_source_version INTEGER,
  PRIMARY KEY (run_id, name)
) STRICT;
CREATE INDEX run_inputs_by_producer ON run_inputs (from_run_id);
CREATE INDEX run_inputs_by_source ON run_inputs (from_source, from_source_version) WHERE from_source IS NOT NULL;

-- What a run wrote: its stored outputs. storage_location is a key of the object storage.
CREATE TABLE signal_lineage (
  stage_run_id     TEXT NOT NULL REFERENCES stage_runs (id),
  signal_name      TEXT NOT NULL,
  signal_type      TEXT NOT NULL,
  kind             TEXT NOT NULL CHECK (kind IN ('file', 'folder')),
  hash             TEXT NOT NULL,
  size             INTEGER NOT NULL,
  storage_location TEXT NOT NULL,
  stats_json       TEXT NOT NULL DEFAULT '{}',
  created_at       TEXT NOT NULL,
  PRIMARY KEY (stage_run_id, signal_name)
) STRICT;
CREATE INDEX signal_lineage_by_hash ON signal_lineage (hash);

-- NULL value means NaN; infinities are stored as they are.
CREATE TABLE metrics (
  run_id           TEXT NOT NULL REFERENCES stage_runs (id),
  seq              INTEGER NOT NULL,
  attempt          INTEGER NOT NULL,
  name             TEXT NOT NULL,
  step             REAL,
  value            REAL,
  logged_at        TEXT NOT NULL,
  PRIMARY KEY (run_id, name, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE metric_summaries (
  run_id           TEXT NOT NULL REFERENCES stage_runs (id),
  name             TEXT NOT NULL,
  last             REAL,
  min              REAL,
  max              REAL,
  count            INTEGER NOT NULL,
  PRIMARY KEY (run_id, name)
) STRICT, WITHOUT ROWID;

-- A name for a version, or for a record; unique in its workspace. A tagged version is never pruned.
CREATE TABLE tags (
  workspace_name   TEXT NOT NULL REFERENCES workspaces (name) ON UPDATE CASCADE,
  tag              TEXT NOT NULL,
  version          INTEGER,
  record_id        TEXT REFERENCES records (id),
  created_at       TEXT NOT NULL,
  PRIMARY KEY (workspace_name, tag),
  CHECK ((version IS NULL) <> (record_id IS NULL)),
  FOREIGN KEY (workspace_name, version) REFERENCES workspace_versions (workspace_name, version) ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_tag ON tags (tag);

-- Registered data: copied and pinned by hash, or an output promoted. Versions are never reused, so rows stay.
CREATE TABLE sources (
  name             TEXT NOT NULL,
  version          INTEGER NOT NULL CHECK (version >= 1),
  uri              TEXT NOT NULL,
  description      TEXT NOT NULL,
  kind             TEXT NOT NULL CHECK (kind IN ('file', 'folder')),
  hash             TEXT NOT NULL,
  size             INTEGER NOT NULL,
  fingerprint      TEXT NOT NULL CHECK (fingerprint IN ('full', 'sample', 'declared')),
  storage_location TEXT NOT NULL,
  metadata_json    TEXT NOT NULL DEFAULT '{}',
  from_run_id      TEXT REFERENCES stage_runs (id),
  from_signal      TEXT,
  created_at       TEXT NOT NULL,
  deleted_at       TEXT,
  PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX sources_by_hash ON sources (hash);
CREATE INDEX sources_by_run ON sources (from_run_id);

-- A key that a caller gave its call of `run`: the same key never starts anything twice. Kept as long as the project.
CREATE TABLE idempotency_keys (
  key              TEXT PRIMARY KEY,
  arguments_hash   TEXT NOT NULL,
  -- What a call with other arguments is told about.
  arguments_json   TEXT NOT NULL,
  created_at       TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What the first call of a key answered with, in the order of its replicates.
CREATE TABLE idempotency_key_runs (
  key              TEXT NOT NULL REFERENCES idempotency_keys (key),
  position         INTEGER NOT NULL,
  pipeline_run_id  TEXT NOT NULL REFERENCES pipeline_runs (id),
  PRIMARY KEY (key, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE thoughts (
  id               TEXT PRIMARY KEY,
  workspace_name   TEXT REFERENCES workspaces (name) ON UPDATE CASCADE,
  run_id           TEXT REFERENCES stage_runs (id),
  thought          TEXT NOT NULL,
  actor            TEXT NOT NULL,
  created_at       TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX thoughts_by_workspace ON thoughts (workspace_name, id);

CREATE TABLE audit (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  operation        TEXT NOT NULL,
  workspace        TEXT,
  actor            TEXT NOT NULL,
  reason           TEXT,
  outcome          TEXT NOT NULL,
  details_json     TEXT NOT NULL,
  created_at       TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_time ON audit (created_at);

-- Rented machines. `state` and the lease (the job in worker_jobs that has not ended) change in one transaction.
CREATE TABLE workers (
  -- Also the machine's name at its provider, so that a crash between row and machine is recovered by looking for it.
  id               TEXT PRIMARY KEY CHECK (id GLOB 'goldfish-*'),
  state            TEXT NOT NULL CHECK (state IN ('launching', 'busy', 'draining', 'idle_ready', 'deleting', 'gone')),
  pooled           INTEGER NOT NULL CHECK (pooled IN (0, 1)),
  profile          TEXT NOT NULL,
  shape            TEXT NOT NULL,
  -- Committed before a machine is asked for there.
  zone             TEXT,
  model            TEXT CHECK (model IN ('standard', 'spot')),
  price_per_hour   REAL,
  job_number       INTEGER NOT NULL DEFAULT 0,
  assignment_generation TEXT,
  letter_generation TEXT,
  letter_at        TEXT,
  letter_json      TEXT,
  created_at       TEXT NOT NULL,
  state_at         TEXT NOT NULL,
  placed_at        TEXT,
  -- How often a place was tried: it tells requests to the provider apart.
  place_number     INTEGER NOT NULL DEFAULT 0,
  running_at       TEXT,
  absent_since     TEXT,
  absent_count     INTEGER NOT NULL DEFAULT 0,
  end_reason       TEXT,
  gone_at          TEXT,
  CHECK ((gone_at IS NULL) = (state <> 'gone')),
  CHECK ((end_reason IS NULL) = (state NOT IN ('deleting', 'gone')))
) STRICT;
CREATE INDEX workers_living ON workers (state) WHERE state <> 'gone';

-- Attempts of runs that workers had. A worker has one at a time, and an attempt has one worker at a time.
CREATE TABLE worker_jobs (
  worker_id        TEXT NOT NULL REFERENCES workers (id),
  number           INTEGER NOT NULL,
  run_id           TEXT NOT NULL,
  attempt          INTEGER NOT NULL,
  warm             INTEGER NOT NULL CHECK (warm IN (0, 1)),
  assigned_at      TEXT NOT NULL,
  claimed_at       TEXT,
  ended_at         TEXT,
  outcome          TEXT CHECK (outcome IN ('done', 'called_off', 'lost')),
  reason           TEXT,
  PRIMARY KEY (worker_id, number),
  CHECK ((ended_at IS NULL) = (outcome IS NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX worker_jobs_one_per_worker ON worker_jobs (worker_id) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX worker_jobs_one_worker ON worker_jobs (run_id, attempt) WHERE ended_at IS NULL;
CREATE INDEX worker_jobs_by_run ON worker_jobs (run_id, attempt);

CREATE TABLE worker_events (
  seq              INTEGER PRIMARY KEY AUTOINCREMENT,
  worker_id        TEXT NOT NULL REFERENCES workers (id),
  event            TEXT NOT NULL,
  from_state       TEXT,
  to_state         TEXT NOT NULL,
  reason           TEXT,
  created_at       TEXT NOT NULL
) STRICT;
CREATE INDEX worker_events_by_worker ON worker_events (worker_id, seq);

-- At most one supervisor: whoever holds the row with the highest token. A holder whose token is gone must not write.
CREATE TABLE supervisor_lease (
  id               INTEGER PRIMARY KEY CHECK (id = 1),
  token            INTEGER NOT NULL,
  pid              INTEGER,
  pid_start        TEXT,
  boot_id          TEXT,
  goldfish_version TEXT,
  socket           TEXT,
  acquired_at      TEXT,
  heartbeat_at     TEXT
) STRICT;
