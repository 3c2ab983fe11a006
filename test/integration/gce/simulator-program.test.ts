import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { docker } from '../../contracts/docker-under-test.ts';
import { instanceRequest, ZONE } from '../../gce-simulator/fast-simulator.ts';
import { until } from '../until.ts';
import { hasMachines, NEEDS_MACHINES } from './needs.ts';

const MAIN = fileURLToPath(new URL('../../gce-simulator/main.ts', import.meta.url));

describe.skipIf(!hasMachines)(
  `the simulator that people start with --machines containers${NEEDS_MACHINES}`,
  () => {
    let child: ChildProcess;
    afterEach(() => {
      child.kill('SIGKILL');
    });

    it.each(['SIGINT', 'SIGTERM'] as const)(
      'executes start-up scripts, and removes all with %s',
      async (signal) => {
        const options = ['--port', '0', '--speed', '100', '--machines', 'containers'];
        child = spawn(process.execPath, [MAIN, ...options], { stdio: ['ignore', 'pipe', 'inherit'] });
        const lines: string[] = [];
        createInterface({ input: child.stdout! }).on('line', (line) => lines.push(line));
        const said = async (pattern: RegExp): Promise<string> => {
          const find = () => lines.map((line) => pattern.exec(line)?.[1]).find((part) => part !== undefined);
          await until(() => find() !== undefined, String(pattern), 60);
          return find() ?? '';
        };
        const api = await said(/answers at (http:\S+),/);
        const label = await said(/(goldfish\.simulator=\S+)/);
        const zone = `${api}/compute/v1/projects/demo/zones/${ZONE}`;
        const metadata = { items: [{ key: 'startup-script', value: '#!/bin/sh\necho hello from inside\n' }] };
        const body = JSON.stringify(instanceRequest({ metadata }));
        expect((await fetch(`${zone}/instances`, { method: 'POST', body })).status).toBe(200);
        const shows = async (): Promise<boolean> => {
          const port = await fetch(`${zone}/instances/m1/serialPort`);
          return port.ok && (await port.text()).includes('hello from inside');
        };
        await until(shows, 'the output of the script', 60);
        const machines = () => docker.listContainers({ all: true, filters: { label: [label] } });
        expect(await machines()).toHaveLength(1);
        const ended = once(child, 'exit');
        child.kill(signal);
        expect(await ended).toEqual([0, null]);
        expect(await machines()).toEqual([]);
      },
    );
  },
);
