import type { IncomingMessage } from 'node:http';
import Docker from 'dockerode';
import { LABELS } from '../../../src/backends/container.ts';
import type { AttemptKey } from '../../../src/store/attempts.ts';
import type { Backend, FaultProject } from './fault-project.ts';
import { ENGINE_SOCKET, projectLabel } from './leftovers.ts';

/** What the engine says it has started, counted by nobody of ours. */
export type EngineStarts = {
  /** Of containers of the project's runs, since `hearStarts`. Throws where the engine fell silent. */
  heard(): AttemptKey[];
  close(): void;
};

export type StartEvent = { Actor: { ID: string; Attributes: Record<string, string> } };

/**
 * Listens to the engine from now on: it remembers no more than its last 256 events, of whatever kind. Undefined where
 * no container has a part.
 */
export async function hearStarts(
  { layout }: FaultProject,
  backend: Backend,
): Promise<EngineStarts | undefined> {
  if (backend !== 'docker') return undefined;
  const engine = new Docker({ socketPath: ENGINE_SOCKET });
  const label = [projectLabel(layout), LABELS.run];
  const starts: AttemptKey[] = [];
  const stream = await tellStarts(engine, { label }, (event) => starts.push(attemptOf(event)));
  let silent: string | undefined;
  stream.on('error', (error) => {
    silent ??= error.message;
  });
  stream.once('close', () => {
    silent ??= 'it ended the connection';
  });
  return {
    heard: () => {
      if (silent !== undefined) throw new Error(`the engine did not tell all that it started: ${silent}`);
      return [...starts];
    },
    close: () => {
      stream.destroy();
    },
  };
}

/** Each container with these labels that an engine starts, from now on; `since`: what it remembers from then on, too. */
export async function tellStarts(
  engine: Docker,
  { label, since }: { label: readonly string[]; since?: number },
  tell: (event: StartEvent) => void,
): Promise<IncomingMessage> {
  const stream = (await engine.getEvents({
    filters: { type: ['container'], event: ['start'], label: [...label] },
    ...(since === undefined ? {} : { since }),
  })) as IncomingMessage;
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines.filter(Boolean)) tell(JSON.parse(line) as StartEvent);
  });
  return stream;
}

/** Of a container of a run. */
export function attemptOf({ Actor: { Attributes } }: StartEvent): AttemptKey {
  return { runId: Attributes[LABELS.run] ?? '', attempt: Number(Attributes[LABELS.attempt]) };
}
