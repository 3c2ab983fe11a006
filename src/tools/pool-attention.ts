import type { ServerContext } from '../context.ts';
import { isoTime } from '../core/clock.ts';
import type { ToolCall } from '../core/errors.ts';
import { type OverdueWorker, overdueWorkers } from '../store/pool-report.ts';

/** A machine without work is given back after the idle timeout; so much later something is wrong. */
const IDLE_GRACE_SECONDS = 5 * 60;
/** A deletion shows within minutes. */
const DELETION_SECONDS = 10 * 60;
/** Ids named in a line. */
const MOST_NAMED = 3;

type Attention = { message: string; call: ToolCall };

/** Rented machines that cost money for nothing: at most a line for those without work, and one for those that should be gone. */
export function poolAttention({
  db,
  clock,
  config,
}: Pick<ServerContext, 'db' | 'clock' | 'config'>): Attention[] {
  const now = clock.now();
  const before = (seconds: number): string => isoTime(now - seconds * 1000);
  const idleSeconds = config.gce?.warmPool.idleTimeoutSeconds ?? 0;
  const overdue = overdueWorkers(db, {
    withoutWork: before(idleSeconds + IDLE_GRACE_SECONDS),
    deleting: before(DELETION_SECONDS),
  });
  const idle = overdue.filter(({ state }) => state !== 'deleting');
  const deleting = overdue.filter(({ state }) => state === 'deleting');
  const look = { tool: 'warm_pool_status', arguments: {} };
  return [
    ...lineOf(idle, {
      now,
      what: 'without work, and paid for',
      call: config.gce === null ? look : giveBack(idle),
    }),
    ...lineOf(deleting, { now, what: 'to be deleted, and still there', call: look }),
  ];
}

/** The longest first, as they come. */
function lineOf(
  workers: readonly OverdueWorker[],
  { now, what, call }: { now: number; what: string; call: ToolCall },
): Attention[] {
  const [longest] = workers;
  if (longest === undefined) return [];
  const minutes = Math.floor((now - Date.parse(longest.since)) / 60_000);
  const named = workers.slice(0, MOST_NAMED).map(({ id }) => id);
  const more = workers.length - named.length;
  const names = `${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
  return [{ message: `rented machines ${what} (${minutes} min): ${names}`, call }];
}

function giveBack(workers: readonly OverdueWorker[]): ToolCall {
  const [first, ...others] = workers;
  const named = first !== undefined && others.length === 0 ? { worker: first.id } : {};
  return {
    tool: 'warm_pool_cleanup',
    arguments: { reason: 'Give back what is paid for without work', ...named },
  };
}
