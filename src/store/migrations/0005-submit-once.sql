-- Which repetition of a call a run belongs to; 0 is the call itself.
ALTER TABLE stage_runs ADD COLUMN replicate INTEGER NOT NULL DEFAULT 0;

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
