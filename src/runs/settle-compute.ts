import type { BackendCapabilities } from '../backends/port.ts';
import type { Setting } from '../config/settings.ts';
import { canonicalJson } from '../core/json.ts';
import { BUILT_IN_MONITORS, type MonitorSettings } from '../core/monitors.ts';
import type { ComputeSettings } from '../core/stage-plan.ts';
import type { FileReader } from '../pipeline/file-reader.ts';
import type { AskedCompute, Decided } from '../pipeline/resolve-compute.ts';
import type { BackendLimits, RunsDeps } from './deps.ts';

export type Choice = { name: string; why: string };

/** Compute with nothing left open: what the backend gives stands where the stage asked for nothing. */
export type GivenCompute = {
  compute: ComputeSettings;
  /** What the stage, its profile or the backend's settings name; null: the backend's own. */
  image: string | null;
  /** By the key a person would write. */
  origins: Record<string, string>;
  choice: Choice;
  capabilities: BackendCapabilities;
  limits: BackendLimits;
};

export type SettledCompute = GivenCompute & { environmentKey: string };

export type Settle = (asked: AskedCompute) => Promise<SettledCompute>;

type Deps = { backends: RunsDeps['backends']; settings: readonly Setting[] };

/** Each backend is asked once, so that every stage of a call gets the same answer. Errors: BACKEND_UNAVAILABLE. */
export function giver(deps: Deps): (asked: AskedCompute) => Promise<GivenCompute> {
  const { backends, settings } = deps;
  const choices = new Map<string, Promise<Choice>>();
  return async (asked) => {
    const requested = asked.backend.value;
    const choice = await once(choices, requested, () => backends.choose(requested));
    const limits = backends.limits(choice.name, asked.profile.value);
    const { capabilities } = await backends.get(choice.name);
    const image = asked.image?.value ?? limits.image;
    const given = withLimits(asked, { choice, limits, settings, waits: capabilities.hasLaunchDelay });
    return { ...given, image, choice, capabilities, limits };
  };
}

/** As `giver`, with the identity of what each stage of these files runs in. */
export function settler(deps: Deps, source: { files: FileReader; codeHash: string }): Settle {
  const give = giver(deps);
  const keys = new Map<string, Promise<string>>();
  return async (asked) => {
    const given = await give(asked);
    const { choice, image } = given;
    const environmentKey = await once(keys, JSON.stringify([choice.name, image]), () =>
      deps.backends.environmentKey(choice.name, { files: source.files, codeHash: source.codeHash, image }),
    );
    return { ...given, environmentKey };
  };
}

function once<T>(known: Map<string, Promise<T>>, key: string, ask: () => Promise<T>): Promise<T> {
  const before = known.get(key);
  if (before !== undefined) return before;
  const asked = ask();
  known.set(key, asked);
  return asked;
}

function withLimits(
  asked: AskedCompute,
  given: { choice: Choice; limits: BackendLimits; settings: readonly Setting[]; waits: boolean },
): Pick<GivenCompute, 'compute' | 'origins'> {
  const { choice, limits, settings, waits } = given;
  const limit = <T>(key: keyof BackendLimits['keys'], value: T): Decided<T> => {
    const from = settings.find((setting) => setting.key === limits.keys[key]);
    return { value, origin: from?.origin ?? 'built-in' };
  };
  const all = {
    profile: asked.profile,
    backend: { value: choice.name, origin: asked.backend.origin },
    nodes: asked.nodes,
    timeoutSeconds: asked.timeoutSeconds,
    heartbeatTimeoutSeconds: asked.heartbeatTimeoutSeconds,
    stopGraceSeconds: asked.stopGraceSeconds,
    memoryBytes: asked.memoryBytes ?? limit('memory', limits.memoryBytes),
    cpus: asked.cpus ?? limit('cpus', limits.cpus),
    gpus: asked.gpus,
    pidsLimit: asked.pidsLimit ?? limit('pids_limit', limits.pidsLimit),
    network: asked.network ?? limit('network', limits.network),
  };
  return {
    compute: {
      profile: all.profile.value,
      backend: all.backend.value,
      nodes: all.nodes.value,
      timeoutSeconds: all.timeoutSeconds.value,
      heartbeatTimeoutSeconds: all.heartbeatTimeoutSeconds.value,
      stopGraceSeconds: all.stopGraceSeconds.value,
      memoryBytes: all.memoryBytes.value,
      cpus: all.cpus.value,
      gpus: all.gpus.value,
      pidsLimit: all.pidsLimit.value,
      network: all.network.value,
      // Elsewhere it has no meaning, and must not make two equal calls differ.
      ...(waits ? { capacityWaitSeconds: asked.capacityWaitSeconds.value } : {}),
      ...monitorsPart(asked.monitors.settings),
    },
    origins: {
      profile: all.profile.origin,
      backend: all.backend.origin,
      nodes: all.nodes.origin,
      timeout_seconds: all.timeoutSeconds.origin,
      heartbeat_timeout_seconds: all.heartbeatTimeoutSeconds.origin,
      stop_grace_seconds: all.stopGraceSeconds.origin,
      memory: all.memoryBytes.origin,
      cpus: all.cpus.origin,
      gpus: all.gpus.origin,
      pids_limit: all.pidsLimit.origin,
      network: all.network.origin,
      ...(waits ? { capacity_wait_seconds: asked.capacityWaitSeconds.origin } : {}),
      image: (asked.image ?? limit('image', limits.image)).origin,
      ...asked.monitors.origins,
    },
  };
}

/** What is built in is left out: plans made before there were monitors are equal to those that say nothing of them. */
function monitorsPart(monitors: MonitorSettings): Pick<ComputeSettings, 'monitors'> {
  return canonicalJson(monitors) === canonicalJson(BUILT_IN_MONITORS) ? {} : { monitors };
}
