import type { Config } from '../config/config.ts';
import type { Path } from '../config/problem.ts';
import type { NamedProfile, ProfileBook } from '../config/profiles.ts';
import type { Setting } from '../config/settings.ts';
import { type AskedMonitors, resolveMonitors } from './resolve-monitors.ts';
import type { StageSettings } from './stage-config.ts';

/**
 * A value and where it comes from: `built-in`, `goldfish.yaml:12`, `profile big`, `configs/train.yaml:3`,
 * `pipeline.yaml:7`, `config_override`, `call`.
 */
export type Decided<T> = { value: T; origin: string };

/** What a stage asks for. Where nothing stands, the backend's own limit holds. */
export type AskedCompute = {
  profile: Decided<string>;
  /** `auto`, or a backend by name. */
  backend: Decided<string>;
  nodes: Decided<number>;
  timeoutSeconds: Decided<number>;
  heartbeatTimeoutSeconds: Decided<number | null>;
  stopGraceSeconds: Decided<number>;
  /** How long a place for a rented machine is looked for; for backends that have such a wait. */
  capacityWaitSeconds: Decided<number>;
  /** How long it may take from its claim to its program, that wait included. */
  launchTimeoutSeconds: Decided<number>;
  gpus: Decided<number>;
  memoryBytes: Decided<number> | undefined;
  cpus: Decided<number> | undefined;
  pidsLimit: Decided<number> | undefined;
  network: Decided<boolean> | undefined;
  image: Decided<string> | undefined;
  monitors: AskedMonitors;
};

export type ComputeRequest = {
  stage: { compute: StageSettings['compute']; image: Decided<string> | undefined };
  /** Of a key of the stage's own config. */
  originOf: (path: Path) => string;
  /** Arguments of the call, for all its stages. */
  call: { profile?: string | undefined; backend?: string | undefined };
  profiles: ProfileBook;
  defaults: Config['defaults'];
  /** Of the loaded config, for the origins of defaults. */
  settings: readonly Setting[];
};

/**
 * Who wins: the call, then the stage (override over file), then its profile, then `defaults`, then what the backend
 * gives. A profile therefore beats defaults, and a backend that is named beats the profile's.
 */
export function resolveCompute(request: ComputeRequest): AskedCompute {
  const { stage, call, defaults } = request;
  const own = <K extends keyof StageSettings['compute']>(key: K) =>
    decided(stage.compute[key], request.originOf(['compute', key]));
  const fallback = <T>(key: string, value: T): Decided<T> => ({
    value,
    origin: originOfDefault(request, key),
  });
  const profile = decided(call.profile, 'call') ?? own('profile') ?? fallback('profile', defaults.profile);
  const given = fromProfile(request.profiles.get(profile.value));
  return {
    profile,
    backend:
      decided(call.backend, 'call') ??
      own('backend') ??
      given('backend') ??
      fallback('backend', defaults.backend),
    nodes: own('nodes') ?? { value: 1, origin: 'built-in' },
    timeoutSeconds: own('timeout_seconds') ?? fallback('timeout_seconds', defaults.timeoutSeconds),
    heartbeatTimeoutSeconds:
      own('heartbeat_timeout_seconds') ??
      fallback('heartbeat_timeout_seconds', defaults.heartbeatTimeoutSeconds),
    stopGraceSeconds: fallback('stop_grace_seconds', defaults.stopGraceSeconds),
    capacityWaitSeconds:
      own('capacity_wait_seconds') ?? fallback('capacity_wait_seconds', defaults.capacityWaitSeconds),
    launchTimeoutSeconds: fallback('launch_timeout_seconds', defaults.launchTimeoutSeconds),
    gpus: own('gpus') ?? given('gpus') ?? { value: 0, origin: 'built-in' },
    memoryBytes: own('memory') ?? given('memoryBytes'),
    cpus: own('cpus') ?? given('cpus'),
    pidsLimit: given('pidsLimit'),
    network: toNetwork(given('network')),
    image: stage.image ?? given('image'),
    monitors: resolveMonitors({
      own: stage.compute.monitors,
      defaults: defaults.monitors,
      originOf: request.originOf,
      originOfDefault: (key) => originOfDefault(request, key),
    }),
  };
}

function decided<T>(value: T, origin: string): Decided<NonNullable<T>> | undefined {
  return value === undefined || value === null ? undefined : { value, origin };
}

/** What a profile says of a key; undefined where it says nothing. */
function fromProfile(profile: NamedProfile | undefined) {
  return <K extends keyof NamedProfile>(key: K): Decided<NonNullable<NamedProfile[K]>> | undefined => {
    const value = profile?.[key];
    if (profile === undefined || value === undefined || value === null) return undefined;
    return { value, origin: `profile ${profile.name}` };
  };
}

function toNetwork(network: Decided<'none' | 'bridge'> | undefined): Decided<boolean> | undefined {
  return network && { value: network.value !== 'none', origin: network.origin };
}

function originOfDefault({ settings }: ComputeRequest, key: string): string {
  return settings.find((setting) => setting.key === `defaults.${key}`)?.origin ?? 'built-in';
}
