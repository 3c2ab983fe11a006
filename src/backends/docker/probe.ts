import type { BackendProbe } from '../port.ts';
import { imageId } from './docker-image-builder.ts';
import { pingEngine } from './engine.ts';
import { START, USE_RIGHTS } from './engine-error.ts';
import type { DockerDeps } from './options.ts';

/** A dead engine must not make anybody wait. */
const PING_MS = 250;

/** `ready`: false where something must be fetched first, which `auto` does not wait for. */
export async function probeEngine(deps: DockerDeps): Promise<BackendProbe & { ready: boolean }> {
  if (deps.address.kind === 'unusable') return no(deps.address.why, deps.address.hint);
  const dead = await pingEngine(deps.address, PING_MS);
  if (dead !== null) {
    const answer = no(`no container engine answers (${dead})`, dead === 'EACCES' ? USE_RIGHTS : START);
    // It listens and has too much to do.
    return { ...answer, passing: dead === 'ETIMEDOUT' };
  }
  const engine = await deps.engine();
  const { SecurityOptions = [] } = await engine.info();
  if (SecurityOptions.some((option) => /name=(rootless|userns)\b/.test(option))) {
    return no(
      'the container engine gives its containers other users than this machine has (rootless, or with user namespaces), so stages could not write what they make',
      'Use an engine without that setting, or the process backend.',
    );
  }
  if ((await imageId(deps.engine, deps.baseImage)) !== null) {
    return { available: true, ready: true, why: ISOLATION };
  }
  return {
    available: true,
    ready: false,
    why: `${ISOLATION}; the image ${deps.baseImage} is not here yet and is fetched by the first run`,
    hint: `Fetch it beforehand (docker pull ${deps.baseImage}), or name another with docker.base_image.`,
  };
}

const ISOLATION =
  'stages run in containers: as no root, without capabilities, with a read-only file system, limits, and no network unless their profile has one';

function no(why: string, hint: string): BackendProbe & { ready: boolean } {
  return { available: false, ready: false, why, hint };
}
