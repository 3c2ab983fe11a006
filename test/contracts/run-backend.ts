import { afterAll, beforeAll, describe } from 'vitest';
import { type BackendHarness, type BackendUnderTest, openHarness } from './backend-harness.ts';
import { buildOf } from './run-backend-build.ts';
import { cleanupOf } from './run-backend-cleanup.ts';
import { endsOf } from './run-backend-ends.ts';
import { launchOf } from './run-backend-launch.ts';
import { logOf } from './run-backend-log.ts';
import { ranksOf } from './run-backend-ranks.ts';
import { secretsOf } from './run-backend-secrets.ts';
import { stageOf } from './run-backend-stage.ts';
import { statusesOf } from './run-backend-status.ts';
import { stopsOf } from './run-backend-stops.ts';

/** Gives the harness of the tests that are running. */
export type Get = () => BackendHarness;

/** Every promise of src/backends/port.ts, kept by a real adapter. `needs` is what the machine lacks for it. */
export function describeRunBackend(name: string, under: BackendUnderTest, needs = ''): void {
  describe.skipIf(needs !== '')(`${name} as a run backend${needs}`, () => {
    let harness: BackendHarness;
    beforeAll(async () => {
      harness = await openHarness(under);
    });
    afterAll(() => harness.close());
    const get: Get = () => harness;
    buildOf(get);
    launchOf(get);
    endsOf(get);
    stopsOf(get);
    stageOf(get);
    secretsOf(get);
    logOf(get);
    statusesOf(get);
    cleanupOf(get);
    ranksOf(get);
  });
}

export const sh = (script: string): string[] => ['/bin/sh', '-c', script];
export const py = (script: string): string[] => ['python', '-c', script];
/** Says that it runs, then waits for longer than any test. */
export const GO_AND_WAIT = 'echo > "$GOLDFISH_CONTROL/go"; sleep 300';
