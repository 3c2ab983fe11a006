import { request } from 'node:http';
import { errnoOf } from '../../core/errors.ts';
import type { ContainerOptions } from '../container.ts';
import { unusableEngine } from './engine-error.ts';

/** Where an engine listens; `unusable`: no engine at all may be asked, and what to do about it. */
export type EngineAddress =
  | { kind: 'socket'; path: string }
  | { kind: 'http'; host: string; port: number }
  | { kind: 'unusable'; why: string; hint: string };

const USUAL_SOCKET = '/var/run/docker.sock';
const USUAL_PORT = 2375;

/** `unix:///…`, `tcp://…` or `http://…`; empty: the usual socket. */
export function parseAddress(address: string | null | undefined): EngineAddress {
  const unix = /^unix:\/\/(\/.*)?$/.exec(address ?? 'unix://');
  if (unix || address === '') return { kind: 'socket', path: unix?.[1] ?? USUAL_SOCKET };
  const http = /^(?:tcp|http):\/\/(\[[^\]]+\]|[^/:]+)(?::(\d+))?\/?$/.exec(address ?? '');
  if (http?.[1] !== undefined) return { kind: 'http', host: http[1], port: Number(http[2] ?? USUAL_PORT) };
  return {
    kind: 'unusable',
    why: 'docker.host must be a unix socket or plain http of this machine; encrypted and remote connections are not built',
    hint: 'Correct docker.host.',
  };
}

/** What is configured. An address that is named and not known must not become the usual socket. */
export function engineAddress(configured: {
  host: string | null;
  hostProblem: string | null;
}): EngineAddress {
  const { host, hostProblem } = configured;
  if (hostProblem === null) return parseAddress(host);
  return { kind: 'unusable', why: hostProblem, hint: 'Set the variable, or name the address itself.' };
}

/** As the run wrapper is told. Errors: BACKEND_UNAVAILABLE where no engine may be asked. */
export function wrapperAddress(address: EngineAddress): string {
  if (address.kind === 'unusable') throw unusableEngine(address);
  return address.kind === 'http' ? `http://${address.host}:${address.port}` : `unix://${address.path}`;
}

/** Null where an engine answers, else why not, as an errno or a word. Imports no client: a dead socket costs nothing. */
export function pingEngine(address: EngineAddress, limitMs: number): Promise<string | null> {
  if (address.kind === 'unusable') return Promise.resolve(address.why);
  const where =
    address.kind === 'socket' ? { socketPath: address.path } : { host: address.host, port: address.port };
  return new Promise((resolve) => {
    const ping = request({ ...where, path: '/_ping', signal: AbortSignal.timeout(limitMs) }, (response) => {
      response.resume();
      resolve(response.statusCode === 200 ? null : `HTTP ${response.statusCode}`);
    });
    ping.once('error', (error) => {
      resolve(error.name === 'TimeoutError' || error.name === 'AbortError' ? 'ETIMEDOUT' : wordOf(error));
    });
    ping.end();
  });
}

function wordOf(error: Error): string {
  return errnoOf(error) ?? error.message;
}

export type EngineInfo = {
  NCPU: number;
  SecurityOptions?: string[];
  InitCommit?: { ID: string };
};

export type ImageFacts = {
  Id: string;
  /** Names with their tags; none where it is known by its id only. */
  RepoTags?: string[] | null;
  Config?: { Env?: string[] | null } | null;
};

/** An image by its id or one of its names. */
export type EngineImage = {
  inspect(): Promise<ImageFacts>;
  tag(options: { repo: string; tag: string }): Promise<unknown>;
  /** Of a name without a tag. */
  push(options: PushOptions): Promise<NodeJS.ReadableStream>;
  /** Takes the name away, and with the last one the image. */
  remove(options: { noprune: boolean }): Promise<unknown>;
};

export type PushOptions = { tag: string; authconfig: EngineLogin; abortSignal?: AbortSignal };

/** Empty where nobody signs in: an engine refuses to push where it is told nothing at all. */
export type EngineLogin = { username?: string; password?: string; serveraddress?: string };

/** `Created`: seconds since the epoch. */
export type ContainerFacts = { Id: string; Labels: Record<string, string>; State: string; Created: number };

export type EngineContainer = {
  start(): Promise<unknown>;
  wait(): Promise<{ StatusCode: number }>;
  remove(options: { force: boolean; v: boolean }): Promise<unknown>;
};

/** The part of dockerode that is called here, so that a test can hold one in its hand. */
export type Engine = {
  info(): Promise<EngineInfo>;
  getImage(name: string): EngineImage;
  pull(reference: string, options: { abortSignal?: AbortSignal }): Promise<NodeJS.ReadableStream>;
  buildImage(context: NodeJS.ReadableStream, options: BuildOptions): Promise<NodeJS.ReadableStream>;
  createContainer(options: ContainerOptions): Promise<{ id: string }>;
  getContainer(name: string): EngineContainer;
  listContainers(options: { all: boolean; filters: { label: string[] } }): Promise<ContainerFacts[]>;
};

export type BuildOptions = {
  t: string;
  dockerfile: string;
  forcerm: boolean;
  labels: Record<string, string>;
  buildargs: Record<string, string>;
  abortSignal?: AbortSignal;
};

/** A request that gets no byte for so long is given up; a build may be silent for as long as its commands are. */
const IDLE_MS = 60_000;

type Connect = (address: UsableAddress, timeout: number | undefined) => Promise<Engine>;
type UsableAddress = Exclude<EngineAddress, { kind: 'unusable' }>;

/**
 * Clients made when first asked for: importing the library takes 300 ms. `patient` for pulls, builds and pushes.
 * Errors: BACKEND_UNAVAILABLE where no engine may be asked.
 */
export function createEngine(
  address: EngineAddress,
  make: Connect = connect,
): (kind?: 'patient') => Promise<Engine> {
  const made = new Map<string, Promise<Engine>>();
  return async (kind) => {
    if (address.kind === 'unusable') throw unusableEngine(address);
    const key = kind ?? 'quick';
    const known = made.get(key);
    if (known !== undefined) return known;
    const making = make(address, kind === 'patient' ? undefined : IDLE_MS);
    made.set(key, making);
    // A failure is not remembered.
    making.catch(() => made.delete(key));
    return making;
  };
}

async function connect(address: UsableAddress, timeout: number | undefined): Promise<Engine> {
  const { default: Docker } = await import('dockerode');
  // Everything is named, undefined too: what is missing the library would take from the environment.
  const none = {
    socketPath: undefined,
    host: undefined,
    port: undefined,
    protocol: 'http',
    timeout,
  } as const;
  return address.kind === 'http'
    ? new Docker({ ...none, host: address.host, port: address.port })
    : new Docker({ ...none, socketPath: address.path });
}
