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

-- What the monitor of divergence remembers of the points taken in so far.
ALTER TABLE run_attempts ADD COLUMN trend_json TEXT;
