-- Why an attempt was asked to stop: what comes of it has that cause, whoever sees the end.
ALTER TABLE run_attempts ADD COLUMN stop_reason TEXT;

-- A run that is to be started anew waits until then.
ALTER TABLE stage_runs ADD COLUMN not_before TEXT;
