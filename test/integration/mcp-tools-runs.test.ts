import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answers, openMounted } from './mcp-answers.ts';

/** The tests build on each other, in order. */
let given: Answers;
const answer: Answers['answer'] = (tool, args) => given.answer(tool, args);

beforeAll(async () => {
  given = await openMounted();
});
afterAll(() => given.end());

describe('the whole answer of', () => {
  it('run as a dry run', async () => {
    expect(
      await answer('run', { workspace: 'baseline', reason: 'See what would run', dry_run: true }),
    ).toMatchInlineSnapshot(`
      {
        "structured": {
          "backends": [
            {
              "name": "process",
              "why": "WHY",
            },
          ],
          "earlier_inputs": [],
          "next": {
            "arguments": {
              "reason": "See what would run",
              "workspace": "baseline",
            },
            "tool": "run",
          },
          "plan": [
            {
              "action": "run",
              "backend": "process",
              "command": [
                "python",
                "-m",
                "modules.generate",
              ],
              "image": null,
              "inputs": [],
              "limits": {
                "cpus": null,
                "gpus": 0,
                "heartbeat_timeout_seconds": null,
                "memory": null,
                "network": true,
                "nodes": 1,
                "pids_limit": null,
                "stop_grace_seconds": 10,
              },
              "needs": [],
              "origins": {},
              "outputs": [
                "numbers",
              ],
              "profile": "default",
              "reused_from": null,
              "secrets": [],
              "stage": "generate",
              "timeout_seconds": 3600,
              "why": "no completed run of this stage in the workspace yet",
            },
            {
              "action": "run",
              "backend": "process",
              "command": [
                "python",
                "-m",
                "modules.summarize",
              ],
              "image": null,
              "inputs": [
                {
                  "from": "generate.numbers",
                  "name": "numbers",
                  "type": "csv",
                },
              ],
              "limits": {
                "cpus": null,
                "gpus": 0,
                "heartbeat_timeout_seconds": null,
                "memory": null,
                "network": true,
                "nodes": 1,
                "pids_limit": null,
                "stop_grace_seconds": 10,
              },
              "needs": [
                "generate",
              ],
              "origins": {},
              "outputs": [
                "summary",
              ],
              "profile": "default",
              "reused_from": null,
              "secrets": [],
              "stage": "summarize",
              "timeout_seconds": 3600,
              "why": "its inputs are made anew by generate",
            },
          ],
          "version": "v1",
          "version_created": false,
          "workspace": "baseline",
        },
        "text": "Dry run on baseline@v1: 2 stages would run, 0 would be reused.
      stage  action  compute  why
      generate  run  process, default  no completed run of this stage in the workspace yet
      summarize  run  process, default  its inputs are made anew by generate
      next: run {"workspace":"baseline","reason":"See what would run"}",
      }
    `);
  });

  it('run', async () => {
    expect(await answer('run', { workspace: 'w1', reason: 'The first numbers ever' })).toMatchInlineSnapshot(`
      {
        "structured": {
          "backends": [
            {
              "name": "process",
              "why": "WHY",
            },
          ],
          "deduplicated": false,
          "earlier_inputs": [],
          "group": null,
          "next": {
            "arguments": {
              "targets": [
                "prun-1",
              ],
            },
            "tool": "wait",
          },
          "pipeline_run_id": "prun-1",
          "runs": [
            {
              "cached": false,
              "cause": null,
              "run_id": "stage-1",
              "stage": "generate",
              "state": "pending",
              "why": "no completed run of this stage in the workspace yet",
            },
            {
              "cached": false,
              "cause": null,
              "run_id": "stage-2",
              "stage": "summarize",
              "state": "pending",
              "why": null,
            },
          ],
          "state": "pending",
          "version": "v1",
          "version_created": false,
          "workspace": "baseline",
        },
        "text": "prun-1 of baseline@v1 (unchanged files) is pending.
      run  stage  state  reused, or why not
      stage-1  generate  pending  no completed run of this stage in the workspace yet
      stage-2  summarize  pending
      next: wait {"targets":["prun-1"]}",
      }
    `);
  });

  it('wait', async () => {
    expect(
      await answer('wait', { targets: [given.ids['pipeline']], cursor: '0', until: 'all' }),
    ).toMatchInlineSnapshot(`
      {
        "structured": {
          "attention": [],
          "blocked": [],
          "changes": [
            {
              "at": "TIME",
              "from": null,
              "run_id": "stage-1",
              "stage": "generate",
              "to": "completed",
            },
            {
              "at": "TIME",
              "from": null,
              "run_id": "stage-2",
              "stage": "summarize",
              "to": "completed",
            },
          ],
          "cursor": "CURSOR",
          "done": true,
          "eta": null,
          "look_again_seconds": null,
          "next": {
            "arguments": {
              "pipeline_run_id": "prun-1",
            },
            "tool": "list_runs",
          },
          "targets": [
            {
              "cause": null,
              "id": "prun-1",
              "kind": "pipeline_run",
              "state": "completed",
            },
          ],
          "timed_out": false,
        },
        "text": "prun-1 is completed.
      TIME generate: new → completed
      TIME summarize: new → completed
      next: list_runs {"pipeline_run_id":"prun-1"}",
      }
    `);
  });

  it('the same run again', async () => {
    expect(
      await answer('run', { workspace: 'baseline', reason: 'The first numbers ever' }),
    ).toMatchInlineSnapshot(`
      {
        "structured": {
          "backends": [
            {
              "name": "process",
              "why": "WHY",
            },
          ],
          "deduplicated": true,
          "earlier_inputs": [],
          "group": null,
          "next": {
            "arguments": {
              "pipeline_run_id": "prun-1",
            },
            "tool": "list_runs",
          },
          "pipeline_run_id": "prun-1",
          "runs": [
            {
              "cached": false,
              "cause": "success",
              "run_id": "stage-1",
              "stage": "generate",
              "state": "completed",
              "why": "no completed run of this stage in the workspace yet",
            },
            {
              "cached": false,
              "cause": "success",
              "run_id": "stage-2",
              "stage": "summarize",
              "state": "completed",
              "why": "no completed run of this stage in the workspace yet",
            },
          ],
          "state": "completed",
          "version": "v1",
          "version_created": false,
          "workspace": "baseline",
        },
        "text": "prun-1 of baseline@v1 is completed.
      The same call was made before: this is its pipeline run, nothing new was started.
      run  stage  state  reused, or why not
      stage-1  generate  completed  no completed run of this stage in the workspace yet
      stage-2  summarize  completed  no completed run of this stage in the workspace yet
      next: list_runs {"pipeline_run_id":"prun-1"}",
      }
    `);
  });

  it('list_runs', async () => {
    expect(await answer('list_runs', { pipeline_run_id: given.ids['pipeline'] })).toMatchInlineSnapshot(`
      {
        "structured": {
          "errors": [],
          "next_cursor": null,
          "runs": [
            {
              "attempt": 1,
              "cached": false,
              "cause": "success",
              "created_at": "TIME",
              "ended_at": "TIME",
              "metric": {
                "name": "deviation",
                "value": 1.9351,
              },
              "pipeline_run_id": "prun-1",
              "run_id": "stage-2",
              "stage": "summarize",
              "started_at": "TIME",
              "state": "completed",
              "version": "v1",
              "workspace": "baseline",
            },
            {
              "attempt": 1,
              "cached": false,
              "cause": "success",
              "created_at": "TIME",
              "ended_at": "TIME",
              "metric": {
                "name": "count",
                "value": 200,
              },
              "pipeline_run_id": "prun-1",
              "run_id": "stage-1",
              "stage": "generate",
              "started_at": "TIME",
              "state": "completed",
              "version": "v1",
              "workspace": "baseline",
            },
          ],
          "schema_version": 1,
        },
        "text": "run  pipeline run  version  stage  state  created  took  metric
      stage-2  prun-1  baseline@v1  summarize  completed  TIME  N s  deviation 1.9351
      stage-1  prun-1  baseline@v1  generate  completed  TIME  N s  count 200",
      }
    `);
  });
});
