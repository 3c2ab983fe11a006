import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answers, openAnswers } from './mcp-answers.ts';

/** The tests build on each other, in order. */
let given: Answers;
const answer: Answers['answer'] = (tool, args) => given.answer(tool, args);

beforeAll(async () => {
  given = await openAnswers();
});
afterAll(() => given.end());

describe('the whole answer of', () => {
  it('status in a folder without a project', async () => {
    expect(await answer('status')).toMatchInlineSnapshot(`
      {
        "structured": {
          "error": {
            "code": "PROJECT_NOT_FOUND",
            "details": {},
            "fix": {
              "arguments": {
                "name": "my-project",
              },
              "tool": "initialize_project",
            },
            "hint": "Create one with initialize_project, or start the server with --project.",
            "message": "There is no project in this folder or above it.",
          },
        },
        "text": "{"error":{"code":"PROJECT_NOT_FOUND","message":"There is no project in this folder or above it.","details":{},"hint":"Create one with initialize_project, or start the server with --project.","fix":{"tool":"initialize_project","arguments":{"name":"my-project"}}}}",
      }
    `);
  });

  it('initialize_project', async () => {
    expect(await answer('initialize_project', { name: 'penguins' })).toMatchInlineSnapshot(`
      {
        "structured": {
          "created": true,
          "next": {
            "arguments": {
              "goal": "Find out how far the simplest approach gets",
              "name": "baseline",
              "reason": "Start the first line of experiments",
            },
            "tool": "create_workspace",
          },
          "path": ".",
          "project": "penguins",
          "slots": [
            "w1",
            "w2",
            "w3",
          ],
        },
        "text": "Project penguins is created in ., with the slots w1, w2, w3.
      next: create_workspace {"name":"baseline","goal":"Find out how far the simplest approach gets","reason":"Start the first line of experiments"}",
      }
    `);
  });

  it('status of a new project', async () => {
    expect(await answer('status')).toMatchInlineSnapshot(`
      {
        "structured": {
          "active_runs": [],
          "attention": [],
          "backend": {
            "name": "process",
            "why": "WHY",
          },
          "counts": {
            "active_runs": 0,
            "runs": 0,
            "versions": 0,
            "workspaces": 0,
          },
          "disk": "DISK",
          "errors": [],
          "next": {
            "arguments": {
              "goal": "Find out how far the simplest approach gets",
              "name": "baseline",
              "reason": "Start the first line of experiments",
            },
            "tool": "create_workspace",
          },
          "project": {
            "goldfish_version": "VERSION",
            "name": "penguins",
          },
          "recent_actions": [
            {
              "at": "TIME",
              "outcome": "ok",
              "reason": null,
              "tool": "initialize_project",
              "workspace": null,
            },
          ],
          "schema_version": 1,
          "slots": [
            {
              "path": "workspaces/w1",
              "slot": "w1",
              "workspace": null,
            },
            {
              "path": "workspaces/w2",
              "slot": "w2",
              "workspace": null,
            },
            {
              "path": "workspaces/w3",
              "slot": "w3",
              "workspace": null,
            },
          ],
        },
        "text": "Project penguins
      0 workspaces, 0 versions, 0 runs, 0 active.
      disk: DISK
      backend: process (WHY)
      slot  workspace
      workspaces/w1  (empty)
      workspaces/w2  (empty)
      workspaces/w3  (empty)
      TIME initialize_project: ok
      next: create_workspace {"name":"baseline","goal":"Find out how far the simplest approach gets","reason":"Start the first line of experiments"}",
      }
    `);
  });

  it('create_workspace', async () => {
    expect(
      await answer('create_workspace', {
        name: 'baseline',
        goal: 'Find a first number',
        reason: 'A first line of experiments',
      }),
    ).toMatchInlineSnapshot(`
      {
        "structured": {
          "created_by": "fork",
          "forked_from": null,
          "goal": "Find a first number",
          "next": {
            "arguments": {
              "reason": "Begin: A first line of experiments",
              "workspace": "baseline",
            },
            "tool": "mount",
          },
          "version": "v1",
          "workspace": "baseline",
        },
        "text": "baseline@v1 is made from the template.
      next: mount {"workspace":"baseline","reason":"Begin: A first line of experiments"}",
      }
    `);
  });

  it('create_workspace with a name that is taken', async () => {
    expect(
      await answer('create_workspace', {
        name: 'baseline',
        goal: 'Again',
        reason: 'Try the same name again',
      }),
    ).toMatchInlineSnapshot(`
      {
        "structured": {
          "error": {
            "code": "WORKSPACE_EXISTS",
            "details": {
              "workspace": "baseline",
            },
            "fix": {
              "arguments": {
                "reason": "Work on in baseline",
                "workspace": "baseline",
              },
              "tool": "mount",
            },
            "hint": "Choose another name, or mount the one there is.",
            "message": "There is a workspace named baseline already.",
          },
        },
        "text": "{"error":{"code":"WORKSPACE_EXISTS","message":"There is a workspace named baseline already.","details":{"workspace":"baseline"},"hint":"Choose another name, or mount the one there is.","fix":{"tool":"mount","arguments":{"workspace":"baseline","reason":"Work on in baseline"}}}}",
      }
    `);
  });

  it('mount', async () => {
    expect(
      await answer('mount', { workspace: 'baseline', reason: 'Edit the first stage' }),
    ).toMatchInlineSnapshot(`
      {
        "structured": {
          "dirty": false,
          "forked_from": null,
          "goal": "Find a first number",
          "kept_aside": [],
          "next": {
            "arguments": {
              "dry_run": true,
              "reason": "See what would run",
              "workspace": "baseline",
            },
            "tool": "run",
          },
          "path": "workspaces/w1",
          "recent_runs": [],
          "restored": [],
          "slot": "w1",
          "version": "v1",
          "workspace": "baseline",
        },
        "text": "baseline@v1 is in workspaces/w1: edit the files there.
      goal: Find a first number
      next: run {"workspace":"baseline","reason":"See what would run","dry_run":true}",
      }
    `);
  });

  it('mount of a workspace that does not exist', async () => {
    expect(
      await answer('mount', { workspace: 'basline', reason: 'Edit the first stage' }),
    ).toMatchInlineSnapshot(`
      {
        "structured": {
          "error": {
            "code": "WORKSPACE_NOT_FOUND",
            "details": {
              "nearest": "baseline",
            },
            "fix": {
              "arguments": {},
              "tool": "list_workspaces",
            },
            "hint": "Did you mean baseline?",
            "message": "There is no workspace or slot "basline".",
          },
        },
        "text": "{"error":{"code":"WORKSPACE_NOT_FOUND","message":"There is no workspace or slot \\"basline\\".","details":{"nearest":"baseline"},"hint":"Did you mean baseline?","fix":{"tool":"list_workspaces","arguments":{}}}}",
      }
    `);
  });

  it('validate', async () => {
    expect(await answer('validate')).toMatchInlineSnapshot(`
      {
        "structured": {
          "checked": [
            "goldfish.yaml",
            "baseline",
          ],
          "next": {
            "arguments": {
              "dry_run": true,
              "reason": "Try the validated pipeline",
              "workspace": "baseline",
            },
            "tool": "run",
          },
          "notes": [],
          "problems": [],
          "valid": true,
        },
        "text": "No problems in goldfish.yaml, baseline.
      next: run {"workspace":"baseline","reason":"Try the validated pipeline","dry_run":true}",
      }
    `);
  });

  it('warm_pool_status where no machines are rented', async () => {
    expect(await answer('warm_pool_status')).toMatchInlineSnapshot(`
      {
        "structured": {
          "cost": 0,
          "counts": {
            "busy": 0,
            "deleting": 0,
            "draining": 0,
            "idle_ready": 0,
            "launching": 0,
          },
          "enabled": false,
          "errors": [],
          "hit_rate": null,
          "limits": null,
          "machines": 0,
          "money_saved": null,
          "schema_version": 1,
          "seconds_saved": null,
          "starts": 0,
          "warm_starts": 0,
          "why": "goldfish.yaml has no section "gce": no machine is rented. Set gce.project_id, gce.zones, gce.service_account, gce.artifact_registry and storage.gcs.bucket in goldfish.yaml.",
          "workers": [],
        },
        "text": "goldfish.yaml has no section "gce": no machine is rented. Set gce.project_id, gce.zones, gce.service_account, gce.artifact_registry and storage.gcs.bucket in goldfish.yaml.
      There is no machine now.",
      }
    `);
  });

  it('warm_pool_cleanup where no machines are rented', async () => {
    expect(
      await answer('warm_pool_cleanup', { reason: 'Nobody needs them until Monday' }),
    ).toMatchInlineSnapshot(`
      {
        "structured": {
          "error": {
            "code": "BACKEND_UNAVAILABLE",
            "details": {
              "backend": "gce",
            },
            "hint": "Set gce.project_id, gce.zones, gce.service_account, gce.artifact_registry and storage.gcs.bucket in goldfish.yaml.",
            "message": "The backend "gce" is not configured.",
          },
        },
        "text": "{"error":{"code":"BACKEND_UNAVAILABLE","message":"The backend \\"gce\\" is not configured.","details":{"backend":"gce"},"hint":"Set gce.project_id, gce.zones, gce.service_account, gce.artifact_registry and storage.gcs.bucket in goldfish.yaml."}}",
      }
    `);
  });
});
