import type { ServerContext } from '../context.ts';
import { isoTime } from '../core/clock.ts';
import { HandedOver } from '../core/handed-over.ts';
import { currentProcess } from '../os/process-identity.ts';
import { listenForWakes, wakeSocketPath } from '../os/wake-socket.ts';
import { LEASE_RENEW_MS, seemsStuck } from '../runs/supervisor-lease.ts';
import { mayTakeOver } from '../runs/take-over.ts';
import { isWorkLeft } from '../runs/work-left.ts';
import { isOutgrown } from '../store/database.ts';
import { fencedBy, isLeaseLost, readLease, releaseLease, renewLease, takeLease } from '../store/lease.ts';
import { configWatch } from './config-watch.ts';
import { createLoop } from './loop.ts';

/** How often running work is looked at when nobody pokes. */
const LOOK_MS = 1_000;
/** How long an idle supervisor stays, so that the next call finds it warm. */
const LINGER_MS = 10_000;

export type SuperviseContext = Pick<
  ServerContext,
  'clock' | 'db' | 'goldfishVersion' | 'layout' | 'log' | 'runsDeps' | 'runtimeDir'
>;

/** A changed config is taken up at a quiet moment, or after so long. */
const QUIET_MS = 30_000;

/** `config_changed`: goldfish.yaml asks for other settings; whoever called opens the project anew and comes again. */
export type SuperviseEnd = 'lease_held' | 'lease_lost' | 'idle' | 'stopped' | 'config_changed';

/**
 * Holds the project's lease and advances all work until nothing is left to do, or `signal` stops it.
 * Returns at once with `lease_held` where another supervisor is at work.
 */
export async function supervise(
  context: SuperviseContext,
  options: { signal: AbortSignal; lingerMs?: number },
): Promise<SuperviseEnd> {
  const { clock, log } = context;
  const socket = wakeSocketPath(context.runtimeDir, context.layout.stateDir);
  const token = await acquire(context, { socket, signal: options.signal });
  if (token === undefined) return 'lease_held';
  // kill point: takeover/lease-taken
  const db = fencedBy(context.db, token);
  const stop = new AbortController();
  const { signal } = stop;
  const bell = createBell();
  const leave = (): void => {
    stop.abort(new HandedOver());
    bell.ring();
  };
  let wakes = await listen(context, socket, bell.ring);
  // kill point: takeover/listening
  const deps = { ...context.runsDeps, db, backends: context.runsDeps.backends.over(db) };
  const loop = createLoop(deps, { wakeSocket: socket, signal, wake: bell.ring });
  let end: SuperviseEnd = 'stopped';
  const lose = (): void => {
    end = 'lease_lost';
    leave();
  };
  const renewal = setInterval(
    () => renew({ db, token, at: isoTime(clock.now()), lose, log }),
    LEASE_RENEW_MS,
  );
  if (options.signal.aborted) leave();
  options.signal.addEventListener('abort', leave, { once: true });
  log.info({ token, pid: process.pid }, 'supervisor started');
  sayWhatIsLacking(context);

  const work = { isLeft: () => isWorkLeft(db, clock, deps.backends.hasWards) };
  const configChanged = configWatch(context.runsDeps);
  let changedSince: number | undefined;
  let idleSince: number | undefined;
  while (!signal.aborted) {
    try {
      await loop.tick();
    } catch (error) {
      if (isOver(error)) lose();
      else if (!signal.aborted) log.error({ err: error }, 'a look at the runs failed');
    }
    if (signal.aborted) break;
    if (changedSince === undefined && configChanged()) changedSince = clock.monotonic();
    if (changedSince !== undefined && isQuiet(loop.busy(), clock.monotonic() - changedSince)) {
      end = 'config_changed';
      break;
    }
    const idle = loop.busy() === 0 && !work.isLeft();
    idleSince = idle ? (idleSince ?? clock.monotonic()) : undefined;
    const linger = options.lingerMs ?? LINGER_MS;
    if (idleSince !== undefined && clock.monotonic() - idleSince >= linger) {
      // Closing removes the socket's name, so it comes before somebody else may take the lease and the name.
      await wakes.close();
      // kill point: idle/socket-closed
      try {
        if (releaseLease(db, { token, isIdle: () => !work.isLeft() })) {
          end = 'idle';
          break;
        }
      } catch (error) {
        if (!isOver(error)) throw error;
        lose();
        break;
      }
      wakes = await listen(context, socket, bell.ring);
    }
    await bell.wait(clock.sleep, idle ? Math.min(LOOK_MS, linger) : LOOK_MS, signal);
  }

  leave();
  clearInterval(renewal);
  await loop.settled();
  await deps.backends.close();
  if (end === 'stopped' || end === 'config_changed') {
    await wakes.close();
    try {
      releaseLease(context.db, { token, isIdle: () => true });
    } catch (error) {
      if (!isOver(error)) throw error;
    }
  }
  log.info({ token, end }, 'supervisor ended');
  return end;
}

/** Whoever has it takes over as soon as there is something to be looked after. */
function sayWhatIsLacking({ runsDeps, log }: SuperviseContext): void {
  const { problem } = runsDeps.config.gce ?? {};
  if (problem === undefined) return;
  log.warn({ problem }, 'this supervisor cannot look after rented machines: its environment lacks a setting');
}

/** What is under way is interrupted and begun anew by the next supervisor, so it is given some time. */
function isQuiet(busy: number, waitedMs: number): boolean {
  return busy === 0 || waitedMs >= QUIET_MS;
}

/** Pokes make it quick; without a folder for the socket the runs are looked at once a second all the same. */
async function listen(
  context: SuperviseContext,
  socket: string,
  onWake: () => void,
): Promise<{ close: () => Promise<void> }> {
  try {
    return await listenForWakes(socket, onWake);
  } catch (error) {
    context.log.warn({ err: error }, 'there is no wake-up socket; work is noticed within a second');
    return { close: async () => undefined };
  }
}

async function acquire(
  context: SuperviseContext,
  request: { socket: string; signal: AbortSignal },
): Promise<number | undefined> {
  const { socket, signal } = request;
  if (seemsStuck(readLease(context.db), context.clock)) {
    await context.clock.sleep(2 * LEASE_RENEW_MS + LEASE_RENEW_MS / 2, { signal });
  }
  const self = currentProcess();
  const { clock, goldfishVersion: version, runsDeps } = context;
  const claimant = { clock, version, tending: runsDeps.backends.tending };
  return takeLease(context.db, {
    holder: { ...self, version: context.goldfishVersion, socket },
    at: isoTime(context.clock.now()),
    mayTake: (current) => mayTakeOver(current, claimant),
  });
}

type Renewal = {
  db: SuperviseContext['db'];
  token: number;
  at: string;
  lose: () => void;
  log: SuperviseContext['log'];
};

function renew({ db, token, at, lose, log }: Renewal): void {
  try {
    db.write(() => renewLease(db, { token, at }));
  } catch (error) {
    if (isOver(error)) lose();
    else log.error({ err: error }, 'the lease could not be renewed');
  }
}

/** The project is another supervisor's, or that of a newer program. */
function isOver(error: unknown): boolean {
  return isLeaseLost(error) || isOutgrown(error);
}

type Sleep = SuperviseContext['clock']['sleep'];

/** Remembers a ring that comes while nobody waits, so that no poke is lost between look and sleep. */
function createBell() {
  let rung = false;
  let waiting: AbortController | undefined;
  return {
    ring: (): void => {
      rung = true;
      waiting?.abort();
    },
    wait: async (sleep: Sleep, ms: number, signal: AbortSignal): Promise<void> => {
      if (!rung) {
        waiting = new AbortController();
        await sleep(ms, { signal: AbortSignal.any([signal, waiting.signal]) });
        waiting = undefined;
      }
      rung = false;
    },
  };
}
