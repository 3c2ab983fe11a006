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
