import { type GceConfig, machineProfileOf } from '../../config/gce.ts';
import { GCE_PROFILES, type GceProfile } from '../../config/gce-profiles.ts';

/**
 * Whether work may want a part of a profile. Nobody has asked for the built-in ones as they are, but for the one whose
 * machines run whatever names no other.
 */
export function isNeeded(gce: GceConfig, name: string, part: (profile: GceProfile) => string): boolean {
  const [own, builtIn] = [gce.profiles[name], GCE_PROFILES[name]];
  if (name === machineProfileOf(gce, 'default') || own === undefined || builtIn === undefined) return true;
  return part(own) !== part(builtIn);
}
