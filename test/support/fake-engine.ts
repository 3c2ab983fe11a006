import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { constants as osConstants } from 'node:os';
import { isAbsolute } from 'node:path';
import type { Duplex } from 'node:stream';
import { systemClock } from '../../src/core/clock.ts';

/**
 * The four calls of a container engine that the run wrapper speaks, over a unix socket or TCP. A container is a real
 * process in a process namespace of its own, so it ends, prints and takes signals as one; only files are not shut off.
 */
export type FakeEngine = {
  address: string;
  create(container: {
    argv: string[];
    environment?: Record<string, string>;
    init: boolean;
    /** One of its own where absent. */
    name?: string;
  }): string;
  state(name: string): ContainerState;
  /** The pid, on this machine, of the container's first process; undefined while it does not run. */
  firstProcess(name: string): number | undefined;
  /** A signal from somebody who is not the run wrapper. */
  signal(name: string, signal: NodeJS.Signals): void;
  remove(name: string): void;
  /** What the next starts answer instead of starting. */
  refuseStart: { status: number; message: string } | undefined;
  /** The next start is carried out, and the connection breaks before it is answered. */
  loseStartAnswer: boolean;
  /** Bytes of a frame's content, and of each write to the connection; whole where undefined. */
  frameBytes: number | undefined;
  writeBytes: number | undefined;
  /** Calls that arrived: `POST start`, … */
  calls: string[];
  /** Nobody answers any more. `containers`: what becomes of those that run. */
  goAway(containers: 'live on' | 'die'): Promise<void>;
  comeBack(): Promise<void>;
  close(): Promise<void>;
};

type ContainerState = {
  running: boolean;
  exitCode: number;
  oomKilled: boolean;
  started: boolean;
};

type Container = ContainerState & {
  argv: string[];
  environment: Record<string, string>;
  init: boolean;
  process: ChildProcess | undefined;
  attached: Set<Duplex>;
};

/** Below these two mounts of real engines come and go, and bubblewrap gives up when one goes while it binds them. */
const RESTLESS = ['var', 'run'];
const places = readdirSync('/').filter((name) => name !== 'proc' && !RESTLESS.includes(name));
/** Exit codes come out as an engine says them: 128 and the signal's number for a death by signal. */
const CONTAIN = [
  ...['--unshare-pid', '--as-pid-1', '--die-with-parent', '--cap-add', 'ALL'],
  ...places.flatMap((name) => ['--dev-bind-try', `/${name}`, `/${name}`]),
  ...['--proc', '/proc', '--'],
];

/** Whether this machine lets us make process namespaces. */
export const canContain = spawnSync('bwrap', [...CONTAIN, 'true']).status === 0;
/** For the titles of skipped tests. */
export const CONTAIN_HINT = '(needs bubblewrap: apt-get install bubblewrap)';

/** How long after the end of the streams the state says so: an engine is not of one piece either. */
const STATE_LAG_MS = 30;

/** What a test adds to the four calls; false passes a call on to them. */
type OtherCalls = (request: IncomingMessage, response: ServerResponse) => boolean;

export async function startFakeEngine(
  listen: string | 'tcp',
  others: OtherCalls = () => false,
): Promise<FakeEngine> {
  const containers = new Map<string, Container>();
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  let port = 0;

  const find = (url: string): Container | undefined =>
    containers.get(decodeURIComponent(url.split('/')[2] ?? ''));

  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    if (others(request, response)) return;
    const url = request.url ?? '';
    const call = url.split('/')[3]?.split('?')[0] ?? '';
    engine.calls.push(`${request.method} ${call}`);
    const container = find(url);
    if (!container) reply(response, 404, { message: 'No such container' });
    else if (call === 'json') reply(response, 200, describe(container));
    else if (call === 'start') start({ container, response, request });
    else if (!container.running) reply(response, 409, { message: 'Container is not running' });
    else {
      send(container, new URLSearchParams(url.split('?')[1]).get('signal') as NodeJS.Signals);
      reply(response, 204);
    }
  };

  const start = (asked: {
    container: Container;
    request: IncomingMessage;
    response: ServerResponse;
  }): void => {
    const { container, request, response } = asked;
    const problem = engine.refuseStart ?? missingProgram(container);
    if (problem) reply(response, problem.status, { message: problem.message });
    else if (container.started) reply(response, 304);
    else {
      run(engine, container);
      if (engine.loseStartAnswer) request.socket.destroy();
      else reply(response, 204);
      engine.loseStartAnswer = false;
    }
  };

  const attach = (request: IncomingMessage, socket: Duplex): void => {
    engine.calls.push('POST attach');
    const container = find(request.url ?? '');
    socket.on('error', () => undefined);
    if (!container || (container.started && !container.running)) {
      const body = JSON.stringify({ message: 'You cannot attach to a stopped container' });
      socket.end(`HTTP/1.1 409 Conflict\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      return;
    }
    socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
    container.attached.add(socket);
    socket.once('close', () => {
      container.attached.delete(socket);
      if (container.process) resume(container.process);
    });
    const stdin: Buffer[] = [];
    const forward = (): void => {
      for (const data of stdin.splice(0)) container.process?.stdin?.write(data);
      if (socket.readableEnded || socket.destroyed) container.process?.stdin?.end();
    };
    socket.on('data', (data: Buffer) => {
      stdin.push(data);
      if (container.process) forward();
    });
    const ended = (): void => {
      if (container.process && container.init) forward();
    };
    socket.once('end', ended);
    socket.once('close', ended);
  };

  const comeBack = async (): Promise<void> => {
    server = createServer(answer);
    server.on('upgrade', attach);
    server.on('connection', (socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => {
      if (listen === 'tcp') server?.listen(port, '127.0.0.1', resolve);
      else server?.listen(listen, resolve);
    });
    if (listen === 'tcp') port = (server.address() as AddressInfo).port;
  };
  const goAway = async (fate: 'live on' | 'die'): Promise<void> => {
    const closed = new Promise<void>((resolve) => server?.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
    if (fate === 'live on') return;
    for (const container of containers.values()) {
      if (!container.running) continue;
      const ended = new Promise((resolve) => container.process?.once('close', resolve));
      send(container, 'SIGKILL');
      await ended;
      while (container.running) await systemClock.sleep(1);
    }
  };

  const engine: FakeEngine = {
    address: '',
    create: ({ argv, environment = {}, init, name = `box-${containers.size}` }) => {
      const state = { running: false, exitCode: 0, oomKilled: false, started: false };
      containers.set(name, { argv, environment, init, ...state, process: undefined, attached: new Set() });
      return name;
    },
    state: (name) => containers.get(name)!,
    firstProcess: (name) => firstProcess(containers.get(name)!),
    signal: (name, signal) => send(containers.get(name)!, signal),
    remove: (name) => {
      const container = containers.get(name)!;
      containers.delete(name);
      send(container, 'SIGKILL');
    },
    refuseStart: undefined,
    loseStartAnswer: false,
    frameBytes: undefined,
    writeBytes: undefined,
    calls: [],
    goAway,
    comeBack,
    close: () => goAway('die'),
  };
  await comeBack();
  engine.address = listen === 'tcp' ? `http://127.0.0.1:${port}` : `unix://${listen}`;
  return engine;
}

function reply(response: ServerResponse, status: number, body?: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

function describe(container: Container): unknown {
  const { running, exitCode, oomKilled, started } = container;
  const StartedAt = started ? '2026-01-01T00:00:00.000000000Z' : '0001-01-01T00:00:00Z';
  return { State: { Running: running, ExitCode: exitCode, OOMKilled: oomKilled, StartedAt } };
}

/** The sentence of the real one. */
function missingProgram({ argv }: Container): { status: number; message: string } | undefined {
  const [program = ''] = argv;
  try {
    if (isAbsolute(program)) accessSync(program, constants.X_OK);
    return undefined;
  } catch {
    const why = `exec: "${program}": stat ${program}: no such file or directory: unknown`;
    return { status: 400, message: `failed to create shim task: OCI runtime create failed: ${why}` };
  }
}

function run(engine: FakeEngine, container: Container): void {
  const child = spawn('bwrap', [...CONTAIN, ...container.argv], {
    env: { PATH: '/usr/bin:/bin', ...container.environment },
    stdio: [container.init ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  });
  container.process = child;
  container.started = container.running = true;
  child.stdin?.on('error', () => undefined);
  for (const [number, stream] of [child.stdout, child.stderr].entries()) {
    stream?.on('data', (data: Buffer) => {
      for (const socket of container.attached) {
        if (sendFrames(engine, socket, { number: number + 1, data })) continue;
        // The reader is behind, so the program waits. A reader that goes away is no reader.
        stream.pause();
        socket.removeAllListeners('drain').once('drain', () => resume(child));
      }
    });
  }
  child.once('close', (code, signal) => {
    for (const socket of container.attached) socket.end();
    const end = (): void => {
      container.exitCode = code ?? 128 + osConstants.signals[signal ?? 'SIGKILL'];
      container.running = false;
    };
    void systemClock.sleep(STATE_LAG_MS).then(end);
  });
}

function resume(child: ChildProcess): void {
  child.stdout?.resume();
  child.stderr?.resume();
}

/** False where the reader is behind. */
function sendFrames(
  { frameBytes, writeBytes }: FakeEngine,
  socket: Duplex,
  { number, data }: { number: number; data: Buffer },
): boolean {
  const frames: Buffer[] = [];
  for (let at = 0; at < data.length; at += frameBytes ?? data.length) {
    const part = data.subarray(at, at + (frameBytes ?? data.length));
    const head = Buffer.alloc(8);
    head[0] = number;
    head.writeUInt32BE(part.length, 4);
    frames.push(head, part);
  }
  const whole = Buffer.concat(frames);
  let going = true;
  for (let at = 0; at < whole.length; at += writeBytes ?? whole.length) {
    going = socket.write(whole.subarray(at, at + (writeBytes ?? whole.length)));
  }
  return going;
}

function firstProcess({ process: child }: Container): number | undefined {
  if (child?.pid === undefined) return undefined;
  try {
    const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim();
    return children === '' ? undefined : Number(children.split(' ')[0]);
  } catch {
    return undefined;
  }
}

function send(container: Container, signal: NodeJS.Signals): void {
  const pid = firstProcess(container);
  if (pid === undefined) return;
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}
