import type { Clock } from '../core/clock.ts';
import type { Ids } from '../core/ids.ts';
import type { Logger } from '../core/logger.ts';
import type { Db } from '../store/database.ts';
import type { Mail } from './mail.ts';
import type { PoolPolicy } from './policy.ts';
import type { WorkerProvider } from './port.ts';

/** What the pool is made of. One controller at a time has it: the supervisor, with its fenced store. */
export type PoolDeps = {
  db: Db;
  clock: Clock;
  ids: Pick<Ids, 'worker'>;
  log: Logger;
  provider: WorkerProvider;
  mail: Mail;
  policy: PoolPolicy;
};
