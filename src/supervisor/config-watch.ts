import { statSync } from 'node:fs';
import { join } from 'node:path';
import { checkConfig } from '../config/load-config.ts';
import { DOTENV_FILE } from '../config/secrets.ts';
import { changesBetween, movesState } from '../config/settings.ts';
import type { RunsDeps } from '../runs/deps.ts';

type Watched = Pick<RunsDeps, 'config' | 'settings' | 'layout' | 'log'>;

/**
 * Tells whether goldfish.yaml asks for other settings than a supervisor was opened with, or a .env has what rented machines
 * lacked. A look costs next to nothing; a file that has changed since the last one is read beside the work. One with problems,
 * or that moves the state, is left alone: work goes on as before.
 */
export function configWatch(watched: Watched): () => boolean {
  let seen: string | undefined;
  let changed = false;
  return () => {
    const { config, root } = watched.layout;
    const written = stampOf(config);
    const now = written && `${written} ${stampOf(join(root, DOTENV_FILE)) ?? ''}`;
    if (now !== undefined && now !== seen) {
      seen = now;
      void asksForOthers(watched).then((answer) => {
        if (seen === now) changed = answer;
      });
    }
    return changed;
  };
}

function stampOf(file: string): string | undefined {
  try {
    const stats = statSync(file, { throwIfNoEntry: false });
    return stats && `${stats.ino}:${stats.size}:${stats.mtimeMs}:${stats.ctimeMs}`;
  } catch {
    return undefined;
  }
}

async function asksForOthers({ config, settings, layout, log }: Watched): Promise<boolean> {
  try {
    const { loaded, problems } = await checkConfig({ root: layout.root });
    if (loaded === null) {
      log.warn(
        { problems },
        'goldfish.yaml has changed and has problems; work goes on with what was read before',
      );
      return false;
    }
    const changes = changesBetween(settings, loaded.settings);
    const keys = changes.map(({ key }) => key);
    if (movesState(changes).length > 0) {
      log.warn(
        { keys },
        'goldfish.yaml moves where things are kept; that needs a restart with nothing running',
      );
      return false;
    }
    if (config.gce?.problem !== undefined && isWhole(loaded.config)) {
      log.info({ keys }, 'rented machines lack no setting any more');
      return true;
    }
    if (keys.length === 0) log.debug({}, 'goldfish.yaml asks for what is in use');
    else log.info({ keys }, 'goldfish.yaml has changed');
    return keys.length > 0;
  } catch (error) {
    log.debug({ err: error }, 'goldfish.yaml could not be read');
    return false;
  }
}

function isWhole({ gce }: Pick<RunsDeps['config'], 'gce'>): boolean {
  return gce !== null && gce.problem === undefined;
}
