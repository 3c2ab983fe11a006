import type { Source } from '../core/rows.ts';
import {
  countSourceConsumers,
  type ListedSource,
  listSources,
  type SourceConsumer,
  sourceConsumers,
  versionsOfSource,
} from '../store/sources.ts';
import type { Workspaces } from '../workspaces/workspaces.ts';
import { deleteSource, requireSource } from './delete-source.ts';
import { type PipelineConsumer, pipelineConsumers } from './pipeline-consumers.ts';
import { type PromoteRequest, promoteOutput } from './promote-output.ts';
import { type CopyProgress, type PatientOutcome, patientRegistrations } from './register-patiently.ts';
import {
  type RegisterCall,
  type Registered,
  type RegisterRequest,
  registerSource,
  type SourceDeps,
  sourceFromPath,
} from './register-source.ts';

/** One source in full. `consumers` are the newest; `counts` is of all. */
export type SourceDetails = {
  source: Source;
  /** The newest first. */
  versions: Source[];
  consumers: SourceConsumer[];
  counts: { runs: number; open: number };
  /** Stages of the newest versions of workspaces that name it. */
  pipelines: PipelineConsumer[];
};

/** Everything tools, commands and the runs room do with sources. */
export type Sources = {
  register(request: RegisterRequest, call?: RegisterCall): Promise<Registered>;
  /** As `register`, for callers who cannot wait for large data: the same call again is told how it went. */
  registerPatiently(
    request: RegisterRequest,
    call: { waitMs: number; signal: AbortSignal; progress?: (at: CopyProgress) => void },
  ): Promise<PatientOutcome>;
  /**
   * The version of a source that holds what lies at a path now; registered where it is new. With `store: false`
   * nothing changes, and the answer is what it would be.
   * Errors: as `register`, INPUT_UNAVAILABLE where nothing is there that could be registered.
   */
  fromPath(
    path: string,
    options?: { store?: boolean; signal?: AbortSignal },
  ): Promise<Pick<Source, 'name' | 'version' | 'hash' | 'kind'>>;
  /** The newest version of each, by name. `cursor` is the last name of the page before. */
  list(page: { limit: number; cursor?: string }): { sources: ListedSource[]; nextCursor: string | null };
  /** Errors: SOURCE_NOT_FOUND. */
  inspect(of: { name: string; version?: number }): Promise<SourceDetails>;
  /** Errors: SOURCE_NOT_FOUND, SOURCE_IN_USE with the consumers named. */
  delete(name: string): Promise<{ name: string; versions: number }>;
  promote(request: PromoteRequest): Registered;
  /** Ends registrations that nobody waits for. */
  close(): Promise<void>;
};

/** Consumers that are shown. */
const SHOWN = 20;

type Deps = SourceDeps & { workspaces: Pick<Workspaces, 'list' | 'version' | 'files'> };

export function createSources(deps: Deps): Sources {
  const { db } = deps;
  const patient = patientRegistrations(deps);
  return {
    register: (request, call) => registerSource(deps, request, call),
    registerPatiently: patient.register,
    fromPath: (path, options) => sourceFromPath(deps, path, { store: true, ...options }),
    list: ({ limit, cursor }) => {
      const found = listSources(db, { limit: limit + 1, ...(cursor === undefined ? {} : { after: cursor }) });
      const sources = found.slice(0, limit);
      return { sources, nextCursor: found.length > limit ? (sources.at(-1)?.source.name ?? null) : null };
    },
    inspect: async ({ name, version }) => {
      const source = requireSource(db, name, version);
      const of = { name, ...(version === undefined ? {} : { version }) };
      return {
        source,
        versions: versionsOfSource(db, name),
        consumers: sourceConsumers(db, { ...of, limit: SHOWN }),
        counts: countSourceConsumers(db, of),
        pipelines: await pipelineConsumers(deps.workspaces, name),
      };
    },
    delete: async (name) => {
      requireSource(db, name);
      return deleteSource(deps, { name, pipelines: await pipelineConsumers(deps.workspaces, name) });
    },
    promote: (request) => promoteOutput(deps, request),
    close: patient.close,
  };
}
