import { profileBook } from '../config/profiles.ts';
import type { PipelineLookups } from '../pipeline/pipeline.ts';
import { getSource, listSourceNames, newestSource } from '../store/sources.ts';
import type { RunsDeps } from './deps.ts';

/** What a project has that its pipelines may name. */
export function pipelineLookups(deps: {
  backends: Pick<RunsDeps['backends'], 'names'>;
  config: Pick<RunsDeps['config'], 'profiles' | 'gce' | 'defaults'>;
  db: RunsDeps['db'];
}): PipelineLookups {
  const { db } = deps;
  return {
    backends: ['auto', ...deps.backends.names],
    profiles: profileBook(deps.config),
    datasets: {
      has: (name, version) =>
        (version === null ? newestSource(db, name) : getSource(db, name, version)) !== undefined,
      names: () => listSourceNames(db),
    },
    monitors: deps.config.defaults.monitors,
  };
}
