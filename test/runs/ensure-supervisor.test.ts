import { rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createEnsureSupervisor } from '../../src/runs/ensure-supervisor.ts';
import { createRunsProject, type RunsProject } from '../support/runs-project.ts';

let project: RunsProject;
let started: number;

beforeEach(async () => {
  project = await createRunsProject();
  started = 0;
});
afterEach(() => project.dispose());
