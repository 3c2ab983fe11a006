import { ApiError } from '../support/google-api-error.ts';
import { invalidField } from './api-error.ts';
import type { SchedulingBody } from './bodies.ts';
import { SPOT_ONLY } from './catalog.ts';
import type { Scheduling } from './resources.ts';

/** Seconds a machine may be limited to: cloud.google.com/compute/docs/instances/limit-vm-runtime. */
const LEAST_RUN_SECONDS = 30;
const LONGEST_RUN_SECONDS = 120 * 24 * 3600;

/**
 * What the service makes of the scheduling that was asked for, defaults filled in: a spot machine is TERMINATEd for
 * maintenance and never restarted by itself. Throws the ApiError of what it refuses.
 */
export function scheduling(
  asked: SchedulingBody,
  { machineType, hasAccelerators }: { machineType: string; hasAccelerators: boolean },
): Scheduling {
  const spot = asked.provisioningModel === 'SPOT' || asked.preemptible === true;
  if (asked.provisioningModel === 'STANDARD' && asked.preemptible === true) {
    throw invalidField(
      'resource.scheduling.preemptible',
      true,
      'Scheduling must have preemptible be false when the provisioning model is STANDARD.',
    );
  }
  if (spot) refuseForSpot(asked);
  if (!spot && SPOT_ONLY.includes(machineType)) {
    throw invalidField(
      'resource.machineType',
      machineType,
      'This machine type needs the provisioning model SPOT.',
    );
  }
  const onHostMaintenance = asked.onHostMaintenance ?? (spot ? 'TERMINATE' : 'MIGRATE');
  if (hasAccelerators && onHostMaintenance !== 'TERMINATE') {
    throw new ApiError(400, 'badRequest', 'Instances with guest accelerators do not support live migration.');
  }
  const limited = asked.maxRunDuration !== undefined;
  if (asked.instanceTerminationAction && !spot && !limited) {
    throw invalidField(
      'resource.scheduling.instanceTerminationAction',
      asked.instanceTerminationAction,
      'You cannot specify a termination action for a VM instance that has the standard provisioning model (default) and no limited run time.',
    );
  }
  if (limited) refuseRunDuration(asked);
  // A spot machine of which nothing is said is stopped.
  const action = asked.instanceTerminationAction ?? (spot ? 'STOP' : undefined);
  return {
    onHostMaintenance,
    automaticRestart: asked.automaticRestart ?? !spot,
    preemptible: spot,
    provisioningModel: spot ? 'SPOT' : 'STANDARD',
    ...(action && { instanceTerminationAction: action }),
    ...(asked.maxRunDuration && { maxRunDuration: asked.maxRunDuration }),
  };
}

function refuseForSpot(asked: SchedulingBody): void {
  const why =
    asked.automaticRestart === true
      ? 'AutomaticRestart is true'
      : asked.onHostMaintenance === 'MIGRATE'
        ? "OnHostMaintenance isn't TERMINATE"
        : undefined;
  if (why === undefined) return;
  throw invalidField(
    'resource.scheduling.preemptible',
    true,
    `Scheduling must have preemptible be false when ${why}.`,
  );
}

function refuseRunDuration(asked: SchedulingBody): void {
  const seconds = Number(asked.maxRunDuration?.seconds);
  if (seconds < LEAST_RUN_SECONDS || seconds > LONGEST_RUN_SECONDS) {
    throw invalidField(
      'resource.scheduling.maxRunDuration',
      `${seconds}s`,
      `Must be between ${LEAST_RUN_SECONDS} seconds and ${LONGEST_RUN_SECONDS} seconds.`,
    );
  }
  if (asked.instanceTerminationAction === undefined) {
    throw invalidField(
      'resource.scheduling.instanceTerminationAction',
      undefined,
      'A limited run time needs a termination action.',
    );
  }
}
