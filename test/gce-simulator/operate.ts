import { targetOf } from './events.ts';
import type { Operation, OperationFailure } from './operations.ts';
import { resourceOf } from './resources.ts';
import { type Instance, type World, whenFree } from './world.ts';

export type Done = (failure?: OperationFailure) => void;

export type Asked = {
  /** `insert`; with `instances.` before it the method that faults name. */
  verb: string;
  requestId?: string | undefined;
  /** Whether it waits until nothing else happens to the instance. Writing metadata does not. */
  waitsForTurn: boolean;
  /** Comes after the failure of an operation that is to fail on purpose. */
  undo?: () => void;
};

/**
 * An operation on an instance: PENDING, RUNNING when its turn has come, and DONE when `work` says so. Where the instance is
 * gone before or meanwhile it fails, except for a deletion, which has then succeeded. `work` may call `release` and never
 * `done`: then the operation stays RUNNING for good and the next one has its turn.
 */
export function operate(
  world: World,
  instance: Instance,
  asked: Asked,
  work: (done: Done, release: () => void) => void,
): Operation {
  const { operations, faults, timings } = world;
  const method = `instances.${asked.verb}`;
  const failure = faults.take('operation-error', { ...instance.subject, method });
  const operation = operations.open({
    zone: instance.zone,
    type: asked.verb,
    method,
    target: targetOf(instance),
    requestId: asked.requestId,
  });
  const begin = (release: () => void): void => {
    operations.run(operation);
    let ended = false;
    const done: Done = (why) => {
      if (ended) return;
      ended = true;
      if (asked.waitsForTurn) instance.abandon = undefined;
      const lost = instance.gone && asked.verb !== 'delete' ? lostTarget(instance) : undefined;
      operations.finish(operation, why ?? lost);
      release();
    };
    if (instance.gone) {
      done();
      return;
    }
    if (asked.waitsForTurn) instance.abandon = () => done();
    if (!failure) {
      work(done, release);
      return;
    }
    world.time.after(timings.writeMs, () => {
      const { code, message, httpStatus } = failure;
      done({ errors: [{ code, message }], httpStatus });
      asked.undo?.();
    });
  };
  world.time.after(timings.pendingMs, () => {
    if (asked.waitsForTurn) whenFree(instance, begin);
    else begin(() => undefined);
  });
  return operation;
}

function lostTarget({ resource }: Instance): OperationFailure {
  const message = `The resource '${resourceOf(resource.selfLink)}' was not found`;
  return { errors: [{ code: 'RESOURCE_NOT_FOUND', message }], httpStatus: 404 };
}
