-- Tags, sources, thoughts, groups and retries.

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

CREATE TABLE thoughts (
  id               TEXT PRIMARY KEY,
  workspace_name   TEXT REFERENCES workspaces (name) ON UPDATE CASCADE,
  run_id           TEXT REFERENCES stage_runs (id),
  thought          TEXT NOT NULL,
  actor            TEXT NOT NULL,
  created_at       TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX thoughts_by_workspace ON thoughts (workspace_name, id);

ALTER TABLE pipeline_runs ADD COLUMN group_name TEXT;
ALTER TABLE pipeline_runs ADD COLUMN retry_of TEXT REFERENCES stage_runs (id);
CREATE INDEX pipeline_runs_by_group ON pipeline_runs (group_name, created_at) WHERE group_name IS NOT NULL;

-- An input that is no run's output: a version of a source.
ALTER TABLE run_inputs ADD COLUMN from_source TEXT;
ALTER TABLE run_inputs ADD COLUMN from_source_version INTEGER;
CREATE INDEX run_inputs_by_source ON run_inputs (from_source, from_source_version) WHERE from_source IS NOT NULL;
