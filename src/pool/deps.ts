import type { Clock } from '../core/clock.ts';
import type { Ids } from '../core/ids.ts';
import type { Logger } from '../core/logger.ts';
import type { JobKey } from '../core/rows.ts';
import type { Db } from '../store/database.ts';
import type { Mail } from './mail.ts';
import type { PoolPolicy } from './policy.ts';
import type { WorkerProvider } from './port.ts';

/** `begun`: the machine had begun the job. `text`: the last it wrote to its serial port, not empty. */
export type KeepConsole = (of: {
  job: JobKey;
  workerId: string;
  begun: boolean;
  text: string;
}) => Promise<void>;

/** What the pool is made of. One controller at a time has it: the supervisor, with its fenced store. */
export type PoolDeps = {
  db: Db;
  clock: Clock;
  ids: Pick<Ids, 'worker'>;
  log: Logger;
  provider: WorkerProvider;
  mail: Mail;
  policy: PoolPolicy;
  /** Given what machines wrote that are lost with a job. */
  keepConsole: KeepConsole;
};
