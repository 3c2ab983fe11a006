import { ApiError } from '../support/google-api-error.ts';
import { notReady } from './api-error.ts';
import { labelsBody, metadataBody, readBody } from './bodies.ts';
import { resetPower } from './events.ts';
import { provision } from './insert.ts';
import { refuseLabels, refuseMetadata } from './label-rules.ts';
import { fingerprintOf } from './new-instance.ts';
import { operate } from './operate.ts';
import type { Operation, OperationFailure } from './operations.ts';
import { powerOff, removeInstance, stopRunTimers } from './power.ts';
import { resourceOf } from './resources.ts';
import { type Instance, settle, type World } from './world.ts';

/** What callers do to an instance that exists. Each returns the operation; throws the ApiError of what is refused. */

export type Request = { body: unknown; requestId?: string | undefined };

/** Its turn has come, and it is not in a state for it: a deletion hangs. */
function resourceNotReady({ resource }: Instance): OperationFailure {
  const { message, status } = notReady(resourceOf(resource.selfLink));
  return { errors: [{ code: 'RESOURCE_NOT_READY', message }], httpStatus: status };
}

export function stopInstance(world: World, instance: Instance, { requestId }: Request): Operation {
  return operate(world, instance, { verb: 'stop', requestId, waitsForTurn: true }, (done) => {
    // To stop what is off is no mistake.
    if (instance.resource.status === 'TERMINATED') return done();
    if (instance.resource.status !== 'RUNNING') return done(resourceNotReady(instance));
    powerOff(world, instance, { graceMs: world.timings.stopGraceMs, whenOff: done });
  });
}

export function startInstance(world: World, instance: Instance, { requestId }: Request): Operation {
  return operate(world, instance, { verb: 'start', requestId, waitsForTurn: true }, (done) => {
    if (instance.resource.status === 'RUNNING') return done();
    if (instance.resource.status !== 'TERMINATED') return done(resourceNotReady(instance));
    provision(world, instance, (failure) => {
      if (failure) instance.resource.status = 'TERMINATED';
      done(failure);
    });
  });
}

export function resetInstance(world: World, instance: Instance, { requestId }: Request): Operation {
  if (instance.resource.status !== 'RUNNING') throw notReady(resourceOf(instance.resource.selfLink));
  return operate(world, instance, { verb: 'reset', requestId, waitsForTurn: true }, (done) => {
    if (instance.resource.status === 'RUNNING') resetPower(world, instance, done);
    else done(resourceNotReady(instance));
  });
}

export function deleteInstance(world: World, instance: Instance, { requestId }: Request): Operation {
  return operate(world, instance, { verb: 'delete', requestId, waitsForTurn: true }, (done, release) => {
    const remove = (): void => {
      world.time.after(world.timings.deleteMs, () => {
        if (!instance.gone) removeInstance(world, instance, done);
      });
    };
    if (world.faults.take('delete-never-confirms', instance.subject)) return hang(instance, release);
    if (instance.resource.status === 'TERMINATED') {
      instance.resource.status = 'STOPPING';
      return remove();
    }
    powerOff(world, instance, {
      graceMs: world.timings.stopGraceMs,
      whenOff: () => {
        instance.resource.status = 'STOPPING';
        remove();
      },
    });
  });
}

/** The machine is off and still costs money: it stays STOPPING, and its operation RUNNING. The next call has its turn. */
function hang(instance: Instance, release: () => void): void {
  instance.resource.status = 'STOPPING';
  stopRunTimers(instance);
  instance.power = undefined;
  instance.abandon = undefined;
  settle(instance.machine.kill(), release);
}

const STALE_METADATA = 'Supplied fingerprint does not match current metadata fingerprint.';
const STALE_LABELS = 'Labels fingerprint either invalid or resource labels have changed';

function conditionNotMet(message: string): OperationFailure {
  return { errors: [{ code: 'CONDITION_NOT_MET', message }], httpStatus: 412 };
}

export function setMetadata(world: World, instance: Instance, request: Request): Operation {
  const { fingerprint, items } = readBody(metadataBody, request.body);
  refuseMetadata(items);
  const { metadata } = instance.resource;
  if (world.faults.take('stale-fingerprint', { ...instance.subject, method: 'instances.setMetadata' })) {
    metadata.fingerprint = fingerprintOf([metadata.fingerprint, 'somebody else']);
  }
  if (fingerprint !== metadata.fingerprint) throw new ApiError(412, 'conditionNotMet', STALE_METADATA);
  const asked = { verb: 'setMetadata', requestId: request.requestId, waitsForTurn: false };
  return operate(world, instance, asked, (done) => {
    world.time.after(world.timings.writeMs, () => {
      // Of two writers that read the same, one is told here.
      if (fingerprint !== metadata.fingerprint) return done(conditionNotMet(STALE_METADATA));
      metadata.fingerprint = fingerprintOf([metadata.fingerprint, items]);
      if (items.length > 0) metadata.items = items;
      else delete metadata.items;
      instance.metadata.changed();
      done();
    });
  });
}

export function setLabels(world: World, instance: Instance, request: Request): Operation {
  const { labelFingerprint, labels } = readBody(labelsBody, request.body);
  refuseLabels('labels', labels);
  const { resource } = instance;
  if (world.faults.take('stale-fingerprint', { ...instance.subject, method: 'instances.setLabels' })) {
    resource.labelFingerprint = fingerprintOf([resource.labelFingerprint, 'somebody else']);
  }
  if (labelFingerprint !== resource.labelFingerprint)
    throw new ApiError(412, 'conditionNotMet', STALE_LABELS);
  const asked = { verb: 'setLabels', requestId: request.requestId, waitsForTurn: false };
  return operate(world, instance, asked, (done) => {
    world.time.after(world.timings.writeMs, () => {
      if (labelFingerprint !== resource.labelFingerprint) return done(conditionNotMet(STALE_LABELS));
      resource.labelFingerprint = fingerprintOf([labelFingerprint, labels]);
      if (Object.keys(labels).length > 0) resource.labels = labels;
      else delete resource.labels;
      done();
    });
  });
}
