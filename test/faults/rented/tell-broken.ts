import { existsSync, readFileSync } from 'node:fs';
import { projectLayout } from '../../../src/core/layout.ts';
import type { Lane } from './lane.ts';

const LAST_LINES = 40;

/** Prints, of a trial that did not come to its end, what is known of it here, on its machines and in its bucket. */
export async function tellBroken({ project, rig }: Lane): Promise<void> {
  const tables = [
    `SELECT id, state, attempt, cause, cancel_cause FROM stage_runs WHERE ended_at IS NULL`,
    `SELECT run_id, attempt, raw_state, result_json FROM run_attempts WHERE released_at IS NULL`,
    `SELECT id, state, end_reason, letter_at, letter_json FROM workers WHERE state <> 'gone'`,
    `SELECT * FROM worker_jobs ORDER BY assigned_at DESC LIMIT 2`,
  ];
  for (const sql of tables) for (const row of project.db.prepare(sql).all()) console.log(JSON.stringify(row));
  const log = projectLayout(project.root).supervisorLog;
  if (existsSync(log)) console.log(lastLines(readFileSync(log, 'utf8')));
  for (const instance of rig.simulator.instances())
    console.log(`${instance.name} ${instance.status}\n${lastLines(await rig.serial(instance))}`);
  const bucket = await fetch(`${rig.emulator.url}/storage/v1/b/${rig.bucket}/o`);
  const { items = [] } = (await bucket.json()) as { items?: { name: string; updated: string }[] };
  for (const { name, updated } of items
    .toSorted((one, other) => (one.updated < other.updated ? 1 : -1))
    .slice(0, LAST_LINES))
    console.log(`${updated} ${name}`);
}

function lastLines(text: string): string {
  return text.split('\n').slice(-LAST_LINES).join('\n');
}
