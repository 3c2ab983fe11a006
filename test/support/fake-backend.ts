import type {
  BackendStatus,
  BuildRequest,
  CleanupAnswer,
  RunBackend,
  RunHandle,
  RunResult,
  RunSpec,
  StopReason,
} from '../../src/backends/port.ts';

import { RESULT_AT, runResult } from './run-result.ts';

/** A backend that executes nothing: the test says what becomes of each attempt. Keeps what it was asked. */
export type FakeBackend = {
  backend: RunBackend;
  /** Specs of what was started, in order: one per attempt, however often it was asked for. */
  launched: RunSpec[];
  /** Run ids in the order in which a launch was asked for. */
  launchCalls: string[];
  stops: { runId: string; graceSeconds: number; reason: StopReason }[];
  cleaned: string[];
  builds: number;
  /** Told by each build. */
  buildLines: string[];
  /** Until it is settled, every build waits for it (or for its own abort). */
  holdBuild: Promise<void> | undefined;
  failBuild: Error | undefined;
  failLaunch: Error | undefined;
  /** What a launch does once it has started the attempt and before it answers. */
  afterStart: ((runId: string) => void | Promise<void>) | undefined;
  failCleanup: Error | undefined;
  /** What a cleanup says that did not fail. */
  cleanupAnswer: CleanupAnswer;
  set(runId: string, phase: Exclude<BackendStatus['phase'], 'exited'>): void;
  end(runId: string, result?: Partial<RunResult>): void;
  /** A result document that is not what it should be. */
  spoil(runId: string, kind: 'garbled' | 'unreadable'): void;
};

export function createFakeBackend(): FakeBackend {
  const statuses = new Map<string, BackendStatus>();
  /** The newest attempt of each run: what the test says is about that one. */
  const newest = new Map<string, number>();
  const attemptOf = (runId: string): number => newest.get(runId) ?? 1;
  const tell = (runId: string, told: BackendStatus): void => {
    statuses.set(`${runId}/${attemptOf(runId)}`, told);
  };
  const status = (phase: BackendStatus['phase'], result: BackendStatus['result'] = null): BackendStatus => ({
    phase,
    raw: phase,
    startedAt: phase === 'running' || phase === 'exited' ? RESULT_AT : null,
    result,
    error: phase === 'unknown' ? 'the engine does not answer' : null,
  });
  const fake: FakeBackend = {
    launched: [],
    launchCalls: [],
    stops: [],
    cleaned: [],
    builds: 0,
    buildLines: [],
    holdBuild: undefined,
    failBuild: undefined,
    failLaunch: undefined,
    afterStart: undefined,
    failCleanup: undefined,
    cleanupAnswer: 'released',
    set: (runId, phase) => tell(runId, status(phase)),
    end: (runId, result = {}) => {
      const whole = runResult({ runId, attempt: attemptOf(runId) }, result);
      tell(runId, status('exited', { kind: 'read', result: whole }));
    },
    spoil: (runId, kind) => {
      tell(runId, status('exited', { kind, detail: `It is ${kind}.` }));
    },
    backend: {
      name: 'process',
      capabilities: {
        gpu: false,
        spot: false,
        isolation: 'none',
        maxNodes: 1,
        longestSeconds: null,
        liveLogs: 'local',
        hasLaunchDelay: false,
        ackTimeoutSeconds: 1,
      },
      probe: async () => ({ available: true, why: 'a fake of the tests' }),
      build: async (request: BuildRequest, call) => {
        fake.builds += 1;
        for (const line of fake.buildLines) call.onLine(line);
        if (fake.holdBuild !== undefined) await Promise.race([fake.holdBuild, aborted(call.signal)]);
        call.signal?.throwIfAborted();
        if (fake.failBuild) throw fake.failBuild;
        return { key: request.key, description: 'fake', data: {} };
      },
      launch: async (spec): Promise<RunHandle> => {
        const { runId, attempt } = spec;
        fake.launchCalls.push(runId);
        if (fake.failLaunch) throw fake.failLaunch;
        newest.set(runId, attempt);
        if (!statuses.has(`${runId}/${attempt}`)) {
          fake.launched.push(spec);
          tell(runId, status('starting'));
        }
        await fake.afterStart?.(runId);
        return { backend: 'process', runId, attempt, externalId: `goldfish-${runId}-${attempt}`, data: {} };
      },
      getStatus: async (handles) =>
        handles.map(({ runId, attempt }) => statuses.get(`${runId}/${attempt}`) ?? status('absent')),
      terminate: async (handle, request) => {
        fake.stops.push({ runId: handle.runId, ...request });
      },
      cleanup: async (handle) => {
        if (fake.failCleanup) throw fake.failCleanup;
        fake.cleaned.push(handle.runId);
        return fake.cleanupAnswer;
      },
    },
  };
  return fake;
}

function aborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) resolve();
    else signal?.addEventListener('abort', () => resolve(), { once: true });
  });
}
