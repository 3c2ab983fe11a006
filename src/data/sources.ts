import type { Source } from '../core/rows.ts';
import {
  type RegisterCall,
  type Registered,
  type RegisterRequest,
  registerSource,
  type SourceDeps,
  sourceFromPath,
} from './register-source.ts';

/** Everything tools, commands and the runs room do with sources. */
export type Sources = {
  register(request: RegisterRequest, call?: RegisterCall): Promise<Registered>;
  /**
   * The version of a source that holds what lies at a path now; registered where it is new. With `store: false`
   * nothing changes, and the answer is what it would be.
   * Errors: as `register`, INPUT_UNAVAILABLE where nothing is there that could be registered.
   */
  fromPath(
    path: string,
    options?: { store?: boolean; signal?: AbortSignal },
  ): Promise<Pick<Source, 'name' | 'version' | 'hash' | 'kind'>>;
};

export function createSources(deps: SourceDeps): Sources {
  return {
    register: (request, call) => registerSource(deps, request, call),
    fromPath: (path, options) => sourceFromPath(deps, path, { store: true, ...options }),
  };
}
