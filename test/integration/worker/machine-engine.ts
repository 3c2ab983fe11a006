import type { IncomingMessage, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { type FakeEngine, startFakeEngine } from '../../support/fake-engine.ts';

/** The container engine of a machine: the fake one, with images and the calls that make and remove containers. */
export type MachineEngine = {
  fake: FakeEngine;
  /** Containers that are there now. */
  containers: Map<string, ContainerBody>;
  /** References that were pulled, and what each pull signed in with. */
  pulls: { reference: string; login: unknown }[];
  /** What the next pulls answer with instead of an image. */
  pullErrors: string[];
  /** Pulls have begun, and do not end before that. */
  slow: { until: Promise<void> | undefined };
  close(): Promise<void>;
};

type ContainerBody = {
  Entrypoint: string[];
  Cmd: string[];
  Env?: string[];
  Labels?: Record<string, string>;
  OpenStdin?: boolean;
};

export async function startMachineEngine(socket: string): Promise<MachineEngine> {
  const held = new Set<string>();
  const containers = new Map<string, ContainerBody>();
  const pulls: MachineEngine['pulls'] = [];
  const pullErrors: string[] = [];
  const slow: MachineEngine['slow'] = { until: undefined };

  const reply = (response: ServerResponse, status: number, body: unknown): true => {
    response.writeHead(status, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(body));
    return true;
  };

  const pull = (request: IncomingMessage, response: ServerResponse, reference: string): true => {
    const header = request.headers['x-registry-auth'];
    const login = header === undefined ? null : JSON.parse(Buffer.from(`${header}`, 'base64url').toString());
    pulls.push({ reference, login });
    const error = pullErrors.shift();
    // The status comes long before the end of a pull does.
    response.writeHead(200);
    response.write(`${JSON.stringify({ status: 'Pulling' })}\n`);
    const end = (): void => {
      if (error === undefined) held.add(reference);
      response.end(`${JSON.stringify(error === undefined ? { status: 'Done' } : { error })}\n`);
    };
    if (slow.until === undefined) end();
    else void slow.until.then(end);
    return true;
  };

  const create = async (request: IncomingMessage, response: ServerResponse, name: string): Promise<void> => {
    const body = JSON.parse(await text(request)) as ContainerBody;
    if (containers.has(name)) return void reply(response, 409, { message: 'The name is in use' });
    containers.set(name, body);
    fake.create({
      name,
      argv: [...body.Entrypoint, ...body.Cmd],
      environment: Object.fromEntries((body.Env ?? []).map((entry) => splitOnce(entry))),
      init: body.OpenStdin === true,
    });
    reply(response, 201, { Id: name });
  };

  const others = (request: IncomingMessage, response: ServerResponse): boolean => {
    const url = new URL(request.url ?? '/', 'http://engine');
    const asked = `${request.method} ${url.pathname}`;
    const image = /^GET \/images\/(.+)\/json$/.exec(asked)?.[1];
    const removed = /^DELETE \/containers\/([^/]+)$/.exec(asked)?.[1];
    if (asked === 'GET /_ping') return reply(response, 200, 'OK');
    if (asked === 'GET /images/json') return reply(response, 200, [{ RepoDigests: [...held] }]);
    if (asked === 'POST /images/create')
      return pull(request, response, url.searchParams.get('fromImage') ?? '');
    if (image !== undefined) {
      const there = held.has(decodeURIComponent(image));
      return reply(response, there ? 200 : 404, there ? {} : { message: 'No such image' });
    }
    if (asked === 'GET /containers/json') {
      const labelled = [...containers].filter(([, body]) => body.Labels?.['goldfish.run'] !== undefined);
      return reply(
        response,
        200,
        labelled.map(([Id]) => ({ Id })),
      );
    }
    if (asked === 'POST /containers/create') {
      void create(request, response, url.searchParams.get('name') ?? '');
      return true;
    }
    if (removed !== undefined) {
      if (!containers.delete(removed)) return reply(response, 404, { message: 'No such container' });
      fake.remove(removed);
      return reply(response, 204, {});
    }
    return false;
  };

  const fake = await startFakeEngine(socket, others);
  return { fake, containers, pulls, pullErrors, slow, close: () => fake.close() };
}

function splitOnce(entry: string): [string, string] {
  const at = entry.indexOf('=');
  return [entry.slice(0, at), entry.slice(at + 1)];
}
