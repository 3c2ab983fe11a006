import { GoldfishError } from '../core/errors.ts';

/** The word for rented machines where a backend is named. */
export const GCE = 'gce';

/** What a rented machine is given to boot, once there is a place for it. */
export const BOOT_SECONDS = 300;

/** What rented machines need at least. */
const NEEDED = 'gce.project_id, gce.zones, gce.service_account, gce.artifact_registry and storage.gcs.bucket';

export const GCE_HINT = `Set ${NEEDED} in goldfish.yaml.`;

/** Of a call that names the backend where the project does not configure it. */
export function gceNotConfigured(): GoldfishError {
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: 'The backend "gce" is not configured.',
    hint: GCE_HINT,
    details: { backend: GCE },
  });
}
