import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../scripts/setup/test-image.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { projectLayout } from '../../src/core/layout.ts';
import type { ToolClient } from '../../src/mcp/client.ts';
import { processStart } from '../../src/os/process-identity.ts';
import { hasEngine, NEEDS_ENGINE } from '../contracts/docker-under-test.ts';
import { createTestProject, mountStages, type TestProject, until, waitOver } from '../support/project.ts';
import { endPrograms, type Started, startGoldfish } from './cli-program.ts';

const LINES = 100_000;
const PART = 20_000;
/** Long enough that the log of them all is cut into segments. */
const TAIL = 'the quick brown fox jumps over the lazy dog '.repeat(4);

/** In bursts with pauses; after each part it waits for the reader to come near. */
const CHATTER = `import os, sys, time
control = os.environ['GOLDFISH_CONTROL']
tail = ${JSON.stringify(TAIL)}
for n in range(${LINES}):
    out = sys.stderr if n % 7 == 0 else sys.stdout
    out.write('%06d %s\\n' % (n, tail))
    if n % 977 == 0:
        sys.stdout.flush()
        time.sleep(0.02)
    if (n + 1) % ${PART} == 0:
        sys.stdout.flush()
        limit = time.monotonic() + 300
        while not os.path.exists(control + '/part-%d' % ((n + 1) // ${PART})) and time.monotonic() < limit: time.sleep(0.02)
`;

const CONFIGS = {
  process: 'defaults: { backend: process }\nprocess: { sandbox: none }\n',
  docker: `defaults: { backend: docker }\ndocker: { base_image: "${TEST_IMAGE}" }\n`,
};

/** The numbers that lines begin with; -1 for a line that is not as it was printed. */
const numbersOf = (texts: readonly string[]): number[] =>
  texts.map((text) => (text.slice(7) === TAIL ? Number(text.slice(0, 6)) : -1));

/** The first place where a list is not 0, 1, 2, …; undefined where it is as long as it must be and nowhere else. */
function wrongPlace(numbers: readonly number[]): string | undefined {
  const at = numbers.findIndex((number, index) => number !== index);
  if (at !== -1) return `line ${at} is ${numbers[at]}, after ${numbers[at - 1]}`;
  return numbers.length === LINES ? undefined : `there are ${numbers.length} lines`;
}

/** stdout and stderr are two pipes: within each the order is the program's. */
function byStream(lines: readonly { stream: string; text: string }[]): Record<string, number[]> {
  const of = (stream: string) =>
    numbersOf(lines.filter((line) => line.stream === stream).map(({ text }) => text));
  return { stdout: of('stdout'), stderr: of('stderr') };
}

for (const backend of ['process', 'docker'] as const) {
  const skipped = backend === 'docker' && !hasEngine;
  describe.skipIf(skipped)(`on ${backend}${skipped ? NEEDS_ENGINE : ''}`, () => {
    let project: TestProject;
    let client: ToolClient;
    let run: string;
    let follower: Started;

    beforeAll(async () => {
      project = createTestProject({ config: CONFIGS[backend] });
      const mounted = await mountStages(project, {
        pipeline: 'stages:\n  - { name: chatter }\n',
        modules: { chatter: CHATTER },
      });
      client = mounted.client;
      const answer = await client.call('run', { workspace: 'exp', reason: 'A run that has a lot to say' });
      run = (answer['runs'] as { run_id: string }[])[0]!.run_id;
      follower = startGoldfish(['logs', run, '--follow'], { cwd: project.root });
    }, 120_000);
    afterAll(async () => {
      endPrograms();
      await project?.dispose();
    });

    const folders = () => projectLayout(project.root).attempt(run, 1);

    /** Kills the server in the middle of a call, and starts another. */
    async function killServer(args: JsonObject): Promise<void> {
      const asked = client.call('logs', args).catch(() => undefined);
      const pid = client.serverPid ?? 0;
      process.kill(pid, 'SIGKILL');
      await asked;
      await client.close().catch(() => undefined);
      client = await project.connect();
    }

    /** Kills the supervisor, and waits for the one that takes over. */
    async function killSupervisor(): Promise<void> {
      const before = project.supervisorPid();
      if (before === null) throw new Error('there is no supervisor to kill');
      process.kill(before, 'SIGKILL');
      await until(() => {
        const now = project.supervisorPid();
        return now !== null && now !== before && processStart(now) !== undefined;
      }, 30_000);
    }

    it('a log of 100,000 lines is read once and in order while it rotates and servers and supervisors are killed', {
      timeout: 600_000,
    }, async () => {
      const lines: { stream: string; text: string }[] = [];
      let cursor: string | undefined;
      const kills = { server: [15_000, 45_000, 75_000], supervisor: [30_000, 60_000] };
      let part = 1;
      for (;;) {
        const args: JsonObject = { run_id: run, ...(cursor === undefined ? {} : { cursor }) };
        if (lines.length >= (kills.server[0] ?? Number.POSITIVE_INFINITY)) {
          kills.server.shift();
          await killServer(args);
        }
        if (lines.length >= (kills.supervisor[0] ?? Number.POSITIVE_INFINITY)) {
          kills.supervisor.shift();
          await killSupervisor();
        }
        // The program is never more than a part and a quarter ahead.
        if (lines.length >= (part - 0.25) * PART && existsSync(folders().control)) {
          writeFileSync(join(folders().control, `part-${part}`), '');
          part += 1;
        }
        const page = await client.call('logs', args);
        lines.push(...(page['lines'] as typeof lines));
        cursor = String(page['cursor']);
        if (page['complete'] === true) break;
        if (page['more'] !== true) await systemClock.sleep(20);
      }
      expect(kills).toEqual({ server: [], supervisor: [] });
      expect(readdirSync(folders().log).length).toBeGreaterThan(1);

      const { stdout = [], stderr = [] } = byStream(lines);
      expect(stdout).toEqual([...stdout].sort((a, b) => a - b));
      expect(stderr).toEqual([...stderr].sort((a, b) => a - b));
      expect(wrongPlace([...stdout, ...stderr].sort((a, b) => a - b))).toBeUndefined();

      await waitOver(client, run);
      expect(await client.call('inspect_run', { run_id: run })).toMatchObject({
        state: 'completed',
        cause: 'success',
        attempt: 1,
      });
    });

    it('goldfish logs --follow has printed each of them once, and ends with the run', async () => {
      const { code, out, err } = await follower.ended;
      expect({ code, err }).toEqual({ code: 0, err: '' });
      expect(out.endsWith('\n')).toBe(true);
      const numbers = numbersOf(out.slice(0, -1).split('\n'));
      expect(wrongPlace([...numbers].sort((a, b) => a - b))).toBeUndefined();
      // Each stream in its order: every seventh line is stderr's.
      for (const isOfStream of [(n: number) => n % 7 === 0, (n: number) => n % 7 !== 0]) {
        const own = numbers.filter(isOfStream);
        expect(own).toEqual([...own].sort((a, b) => a - b));
      }
    });
  });
}
