import { GoldfishError } from '../../core/errors.ts';
import type { NamedGceProfile } from './job-request.ts';

/** The service names the image, or the field of the request that did. */
const NO_IMAGE = /images?\b.*(cannot be found|was not found|does not exist)/is;

/** For whoever wanted a machine that no place will ever have. `message`: the service's own. */
export function rentRefusal(message: string, { name, profile }: NamedGceProfile): GoldfishError {
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: `No machine can be rented: ${message}`,
    hint: NO_IMAGE.test(message)
      ? `Look up an image that is there (${listOf(profile.bootDisk.image)}), and name it with gce.profile_overrides.${name}.boot_disk.image.`
      : 'Ask "goldfish doctor --gce" what is missing.',
  });
}

/** Families come and go, and only those who give them out know which there are. */
function listOf(image: string): string {
  const owner = /^projects\/([^/]+)\//.exec(image)?.[1];
  return `gcloud compute images list${owner === undefined ? '' : ` --project=${owner} --no-standard-images`}`;
}
