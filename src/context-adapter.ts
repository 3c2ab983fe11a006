import type { RunBackend } from './backends/port.ts';
import type { Config } from './config/config.ts';
import type { Clock } from './core/clock.ts';
import type { Ids } from './core/ids.ts';
import type { Layout } from './core/layout.ts';
import type { Logger } from './core/logger.ts';
import type { Backends } from './runs/deps.ts';
import type { Db } from './store/database.ts';

/** An adapter with what the port has not: its plan-time key, and what it does between runs. */
export type Adapter = {
  backend: RunBackend;
  environmentKey: Backends['environmentKey'];
  tend?: Backends['tend'];
  close?: Backends['close'];
};

export type BackendParts = {
  config: Config;
  layout: Layout;
  clock: Clock;
  ids: Ids;
  log: Logger;
  /** Takes secrets out of what is to be written down. */
  hide: (text: string) => string;
  db: Db;
};
