import { expect, it } from 'vitest';
import { CAUSES, type Cause, eventOfCause, RESTARTABLE, STOP_CAUSES } from '../../src/core/causes.ts';
import { RUN_TRANSITIONS } from '../../src/core/run-lifecycle.ts';
import { APART, CASES, ELSEWHERE, LATER } from '../integration/causes-table.ts';

const ALL = Object.keys(CAUSES) as Cause[];

it.each(ALL)('%s is produced by a real run in the tests, or its feature comes later', (cause) => {
  const byMatrix = CASES.some((given) => given.cause === cause) || APART.includes(cause);
  const said = [byMatrix, LATER[cause] !== undefined, ELSEWHERE[cause] !== undefined];
  expect(
    said.filter(Boolean),
    `${cause}: a case in test/integration/causes-table.ts, or a word there`,
  ).toHaveLength(1);
});

it('every case of the matrix expects the state of its cause', () => {
  for (const { cause, ended, name } of CASES) expect(ended.state, name).toBe(CAUSES[cause].state);
});

it('every cause ends a run in its own state, says so in a sentence, and a success is never restarted', () => {
  for (const cause of ALL) {
    const { state, sentence } = CAUSES[cause];
    expect(RUN_TRANSITIONS[eventOfCause(cause)].to, cause).toBe(state);
    expect(sentence, cause).toMatch(/^[A-Z].+\.$/);
    if (state === 'completed' || state === 'canceled') expect(RESTARTABLE, cause).not.toContain(cause);
  }
  expect(new Set(ALL.map((cause) => CAUSES[cause].sentence)).size).toBe(ALL.length);
});

it('every reason to stop a run leads to a cause that says that somebody stopped it', () => {
  expect(STOP_CAUSES).toEqual({
    cancel: 'user',
    timeout: 'timeout',
    heartbeat: 'heartbeat_lost',
    monitor: 'stopped_by_monitor',
  });
});
