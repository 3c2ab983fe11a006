import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answers, FAILING, openCompleted, runWithFewerDigits } from './mcp-answers.ts';

/** The tests build on each other, in order. */
let given: Answers;
const answer: Answers['answer'] = (tool, args) => given.answer(tool, args);

beforeAll(async () => {
  given = await openCompleted();
  await runWithFewerDigits(given);
  await writeFile(given.inSlot('modules/generate.py'), FAILING);
  await answer('run', { workspace: 'baseline', reason: 'Run into an error', wait_seconds: 45 });
});
afterAll(() => given.end());

describe('the whole answer of', () => {
  it('list_workspaces', async () => {
    expect(await answer('list_workspaces')).toMatchInlineSnapshot(`
      {
        "structured": {
          "errors": [],
          "next_cursor": null,
          "schema_version": 1,
          "workspaces": [
            {
              "goal": "Find a first number",
              "last_activity": "TIME",
              "name": "baseline",
              "runs": 3,
              "slot": "w1",
              "versions": 3,
            },
          ],
        },
        "text": "workspace  slot  versions  runs  last activity  goal
      baseline  w1  3  3  TIME  Find a first number",
      }
    `);
  });

  it('inspect_workspace', async () => {
    expect(
      await answer('inspect_workspace', {
        workspace: 'baseline',
        include: ['versions', 'pipeline', 'runs', 'lineage'],
      }),
    ).toMatchInlineSnapshot(`
      {
        "structured": {
          "created_at": "TIME",
          "deleted_at": null,
          "dirty": false,
          "errors": [],
          "forked_from": null,
          "goal": "Find a first number",
          "lineage": [],
          "next": {
            "arguments": {
              "dry_run": true,
              "reason": "See what would run",
              "workspace": "baseline",
            },
            "tool": "run",
          },
          "path": "workspaces/w1",
          "pipeline": {
            "file": "pipeline.yaml",
            "name": "minimal",
            "problems": 0,
            "stages": [
              {
                "inputs": [],
                "outputs": [
                  "numbers (csv)",
                ],
                "stage": "generate",
              },
              {
                "inputs": [
                  "numbers from generate.numbers",
                ],
                "outputs": [
                  "summary (json)",
                ],
                "stage": "summarize",
              },
            ],
          },
          "recent_runs": [
            {
              "created_at": "TIME",
              "pipeline_run_id": "prun-3",
              "reason": "Run into an error",
              "state": "failed",
              "version": "v3",
            },
            {
              "created_at": "TIME",
              "pipeline_run_id": "prun-2",
              "reason": "Fewer digits in the summary",
              "state": "completed",
              "version": "v2",
            },
            {
              "created_at": "TIME",
              "pipeline_run_id": "prun-1",
              "reason": "The first numbers ever",
              "state": "completed",
              "version": "v1",
            },
          ],
          "runs": [
            {
              "cause": "upstream_failed",
              "run_id": "stage-6",
              "stage": "summarize",
              "state": "canceled",
              "version": "v3",
            },
            {
              "cause": "exit_nonzero",
              "run_id": "stage-5",
              "stage": "generate",
              "state": "failed",
              "version": "v3",
            },
            {
              "cause": "success",
              "run_id": "stage-4",
              "stage": "summarize",
              "state": "completed",
              "version": "v2",
            },
            {
              "cause": "cached",
              "run_id": "stage-3",
              "stage": "generate",
              "state": "completed",
              "version": "v2",
            },
            {
              "cause": "success",
              "run_id": "stage-2",
              "stage": "summarize",
              "state": "completed",
              "version": "v1",
            },
            {
              "cause": "success",
              "run_id": "stage-1",
              "stage": "generate",
              "state": "completed",
              "version": "v1",
            },
          ],
          "runs_total": 3,
          "schema_version": 1,
          "slot": "w1",
          "version": "v3",
          "versions": [
            {
              "created_at": "TIME",
              "created_by": "run",
              "message": "Run into an error",
              "tags": [],
              "version": "v3",
            },
            {
              "created_at": "TIME",
              "created_by": "run",
              "message": "Fewer digits in the summary",
              "tags": [],
              "version": "v2",
            },
            {
              "created_at": "TIME",
              "created_by": "fork",
              "message": "New workspace: Find a first number",
              "tags": [],
              "version": "v1",
            },
          ],
          "versions_total": 3,
          "workspace": "baseline",
        },
        "text": "baseline@v3: Find a first number
      mounted in workspaces/w1
      3 versions, 3 pipeline runs
      prun-3 v3 failed: Run into an error
      prun-2 v2 completed: Fewer digits in the summary
      prun-1 v1 completed: The first numbers ever
      version  by  created  message
      v3  run  TIME  Run into an error
      v2  run  TIME  Fewer digits in the summary
      v1  fork  TIME  New workspace: Find a first number
      stage  inputs  outputs
      generate  numbers (csv)
      summarize  numbers from generate.numbers  summary (json)
      run  stage  version  state  cause
      stage-6  summarize  v3  canceled  upstream_failed
      stage-5  generate  v3  failed  exit_nonzero
      stage-4  summarize  v2  completed  success
      stage-3  generate  v2  completed  cached
      stage-2  summarize  v1  completed  success
      stage-1  generate  v1  completed  success
      next: run {"workspace":"baseline","reason":"See what would run","dry_run":true}",
      }
    `);
  });

  it('cancel of what is over', async () => {
    expect(
      await answer('cancel', { target: given.ids['pipeline'], reason: 'It is over in any case' }),
    ).toMatchInlineSnapshot(`
      {
        "structured": {
          "next": {
            "arguments": {},
            "tool": "status",
          },
          "runs": [
            {
              "outcome": "over",
              "run_id": "stage-5",
              "stage": "generate",
              "state": "failed",
            },
            {
              "outcome": "over",
              "run_id": "stage-6",
              "stage": "summarize",
              "state": "canceled",
            },
          ],
          "target": "prun-3",
        },
        "text": "prun-3 had ended before; nothing was changed.
      run  stage  state  outcome
      stage-5  generate  failed  over
      stage-6  summarize  canceled  over
      next: status {}",
      }
    `);
  });

  it('hibernate', async () => {
    expect(
      await answer('hibernate', { slot: 'baseline', reason: 'Make room for the next one' }),
    ).toMatchInlineSnapshot(`
      {
        "structured": {
          "aside": [],
          "aside_total": 0,
          "next": {
            "arguments": {
              "reason": "Go on with baseline",
              "workspace": "baseline",
            },
            "tool": "mount",
          },
          "slot": "w1",
          "version": "v3",
          "version_created": false,
          "workspace": "baseline",
        },
        "text": "w1 is free. baseline is safe as v3.
      to go on: mount {"workspace":"baseline","reason":"Go on with baseline"}",
      }
    `);
  });
});
