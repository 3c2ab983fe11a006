import type { FaultBook } from './faults.ts';
import { link, type OperationError, type OperationResource } from './resources.ts';
import type { SimulatedTime } from './time.ts';

/** Why an operation failed: what stands in it, and the HTTP status the service gives the whole. */
export type OperationFailure = { errors: OperationError[]; httpStatus: number };

export type OperationRequest = {
  zone: string;
  /** `insert`, `setMetadata`, …; the events of the service itself are `compute.instances.preempted` and the like. */
  type: string;
  /** The API's name of the call, for faults: `instances.insert`. */
  method?: string;
  target: { resource: string; id: string; name: string };
  requestId?: string | undefined;
  user?: string;
};

export type Operation = {
  resource: OperationResource;
  /** What `lost-operation` faults do to the sight of it. */
  shown: 'whole' | 'never' | 'never done';
  /** Called once when it is done, whatever is shown. */
  whenDone: (() => void)[];
};

const HTTP_WORDS: Record<number, string> = {
  400: 'BAD REQUEST',
  403: 'FORBIDDEN',
  404: 'NOT FOUND',
  409: 'CONFLICT',
  412: 'PRECONDITION FAILED',
  429: 'TOO MANY REQUESTS',
  500: 'INTERNAL SERVER ERROR',
  503: 'SERVICE UNAVAILABLE',
};

/** `wait` gives up after this long and answers with what there is. */
const LONGEST_WAIT_MS = 120_000;

export type Operations = {
  /** A new one, PENDING. */
  open(request: OperationRequest): Operation;
  run(operation: Operation): void;
  finish(operation: Operation, failure?: OperationFailure): void;
  /** What the service did by itself: it is DONE from the start. */
  event(request: OperationRequest & { message: string }): void;
  /** The operation that a request id made before; one id is one operation. */
  ofRequest(requestId: string | undefined): Operation | undefined;
  /** As callers see it; undefined for those that do not exist or are forgotten. */
  view(zone: string, name: string): OperationResource | undefined;
  views(zone?: string): OperationResource[];
  /** Resolves when it is DONE, and after two minutes at the latest, as the real one does. */
  wait(zone: string, name: string): Promise<OperationResource | undefined>;
};

export function createOperations({
  project,
  time,
  stamp,
  faults,
  nextId,
}: {
  project: string;
  time: SimulatedTime;
  /** The service's clock as text; it may be skewed. */
  stamp: () => string;
  faults: FaultBook;
  nextId: () => string;
}): Operations {
  const operations = new Map<string, Operation>();
  const ofRequests = new Map<string, Operation>();

  const create = (request: OperationRequest, prefix: string): Operation => {
    const id = nextId();
    const name = `${prefix}-${time.now()}-${id.slice(-8)}`;
    const resource: OperationResource = {
      kind: 'compute#operation',
      id,
      name,
      zone: link(`projects/${project}/zones/${request.zone}`),
      ...(request.requestId && { clientOperationId: request.requestId }),
      operationType: request.type,
      targetLink: link(request.target.resource),
      targetId: request.target.id,
      status: 'PENDING',
      user: request.user ?? `goldfish@${project}.iam.gserviceaccount.com`,
      progress: 0,
      insertTime: stamp(),
      selfLink: link(`projects/${project}/zones/${request.zone}/operations/${name}`),
    };
    const subject = {
      zone: request.zone,
      name: request.target.name,
      ...(request.method && { method: request.method }),
    };
    const lost = request.method ? faults.take('lost-operation', subject) : undefined;
    const shown = !lost ? 'whole' : lost.how === 'forgotten' ? 'never' : 'never done';
    const operation: Operation = { resource, shown, whenDone: [] };
    operations.set(`${request.zone}/${name}`, operation);
    if (request.requestId) ofRequests.set(request.requestId, operation);
    return operation;
  };

  const run = ({ resource }: Operation): void => {
    resource.status = 'RUNNING';
    resource.startTime = stamp();
  };

  const finish = (operation: Operation, failure?: OperationFailure): void => {
    const { resource } = operation;
    resource.status = 'DONE';
    resource.progress = 100;
    resource.startTime ??= stamp();
    resource.endTime = stamp();
    if (failure) {
      resource.error = { errors: failure.errors };
      resource.httpErrorStatusCode = failure.httpStatus;
      resource.httpErrorMessage = HTTP_WORDS[failure.httpStatus] ?? 'UNKNOWN';
    }
    for (const action of operation.whenDone.splice(0)) action();
  };

  const find = (zone: string, name: string): Operation | undefined => {
    const operation = operations.get(`${zone}/${name}`);
    return operation?.shown === 'never' ? undefined : operation;
  };

  return {
    open: (request) => create(request, 'operation'),
    run,
    finish,
    event: ({ message, ...request }) => {
      const operation = create({ ...request, user: 'system' }, 'systemevent');
      operation.resource.statusMessage = message;
      finish(operation);
    },
    ofRequest: (requestId) => (requestId === undefined ? undefined : ofRequests.get(requestId)),
    view: (zone, name) => visible(find(zone, name)),
    views: (zone) =>
      [...operations.entries()]
        .filter(([key, { shown }]) => shown !== 'never' && (zone === undefined || key.startsWith(`${zone}/`)))
        .flatMap(([, operation]) => visible(operation) ?? []),
    wait: (zone, name) =>
      new Promise((resolve) => {
        const operation = find(zone, name);
        const answer = (): void => resolve(visible(operation));
        if (!operation || visible(operation)?.status === 'DONE') return answer();
        const callOff = time.after(LONGEST_WAIT_MS, answer);
        if (operation.shown === 'never done') return;
        operation.whenDone.push(() => {
          callOff();
          answer();
        });
      }),
  };
}

/** A copy: an answer shows the operation of its moment. */
function visible(operation: Operation | undefined): OperationResource | undefined {
  if (!operation) return undefined;
  if (operation.shown !== 'never done' || operation.resource.status !== 'DONE') {
    return structuredClone(operation.resource);
  }
  const {
    endTime: _end,
    error: _error,
    httpErrorStatusCode: _code,
    httpErrorMessage: _words,
    ...rest
  } = operation.resource;
  return { ...structuredClone(rest), status: 'RUNNING', progress: 0 };
}

/** What the service's clock says, in milliseconds since the epoch: it may be wrong. */
export function serviceNow(time: SimulatedTime, faults: FaultBook): number {
  return time.now() + (faults.peek('clock-skew', {}).find(({ of }) => of === 'service')?.ms ?? 0);
}
