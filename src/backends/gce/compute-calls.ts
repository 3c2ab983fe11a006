/**
 * The calls of the Compute API that are made here, as the structural part of its resources that is read: what stands behind
 * them is the vendor's client, or a simulator in the same process. None repeats a call by itself, and each has an end: an
 * aborted call throws what its signal was aborted with, and may have been carried out all the same.
 * Errors: ComputeFailure.
 */
export type ComputeCalls = {
  insertInstance(
    request: { zone: string; requestId: string; body: InstanceBody },
    options?: CallOptions,
  ): Promise<OperationFacts>;
  /** The operation when it is done, or as it is after two minutes. */
  waitOperation(request: { zone: string; operation: string }, options?: CallOptions): Promise<OperationFacts>;
  /** Undefined where there is none of that name. */
  getInstance(
    request: { zone: string; name: string },
    options?: CallOptions,
  ): Promise<InstanceFacts | undefined>;
  /** Undefined where there is none of that name. */
  deleteInstance(
    request: { zone: string; name: string; requestId: string },
    options?: CallOptions,
  ): Promise<OperationFacts | undefined>;
  /** Of all zones, or of one. */
  listInstances(request: { zone?: string; filter: string }, options?: CallOptions): Promise<InstanceList>;
  /** What happened in a zone lately: those operations that the filter names. */
  listOperations(request: { zone: string; filter: string }, options?: CallOptions): Promise<OperationFacts[]>;
  /** What the machine wrote to its first serial port, the last 64 KiB of it. One that is off is refused. */
  serialOutput(request: { zone: string; name: string }, options?: CallOptions): Promise<string>;
};

export type CallOptions = { signal?: AbortSignal };

/** `silentZones`: of which not everything is known now. What is not listed there may be there all the same. */
export type InstanceList = { instances: InstanceFacts[]; silentZones: string[] };

export type InstanceFacts = {
  name: string;
  /** A link, or its last part. */
  zone: string;
  status: string;
  creationTimestamp?: string | null;
  scheduling?: { provisioningModel?: string | null } | null;
};

export type OperationFacts = {
  name: string;
  status: string;
  operationType?: string | null;
  targetLink?: string | null;
  error?: { errors?: OperationError[] | null } | null;
  httpErrorStatusCode?: number | null;
};

export type OperationError = { code?: string | null; message?: string | null; errorDetails?: unknown };

/** The `reason` where nothing was found to sign a request with; the status is 401, although nobody was asked. */
export const NO_CREDENTIALS = 'noCredentials';

/** A call that was refused or had no answer. `status`: HTTP; undefined where none came. `reason`: the API's word for it. */
export class ComputeFailure extends Error {
  override readonly name = 'ComputeFailure';
  readonly status: number | undefined;
  readonly reason: string | undefined;

  constructor(init: {
    message: string;
    status?: number | undefined;
    reason?: string | undefined;
    cause?: unknown;
  }) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.status = init.status;
    this.reason = init.reason;
  }
}

/** What is asked for when a machine is to be made: the part of an instance resource that this project sets. */
export type InstanceBody = {
  name: string;
  machineType: string;
  labels: Record<string, string>;
  metadata: { items: { key: string; value: string }[] };
  disks: DiskBody[];
  networkInterfaces: {
    network: string;
    subnetwork?: string;
    accessConfigs?: { type: 'ONE_TO_ONE_NAT'; name: string }[];
  }[];
  serviceAccounts: { email: string; scopes: string[] }[];
  scheduling: {
    provisioningModel: 'SPOT' | 'STANDARD';
    onHostMaintenance: 'TERMINATE' | 'MIGRATE';
    automaticRestart: false;
    instanceTerminationAction: 'DELETE';
    maxRunDuration: { seconds: string };
  };
  guestAccelerators?: { acceleratorType: string; acceleratorCount: number }[];
  reservationAffinity?: { consumeReservationType: 'NO_RESERVATION' };
};

export type DiskBody = {
  boot: boolean;
  autoDelete: true;
  deviceName: string;
  initializeParams: {
    sourceImage?: string;
    diskSizeGb: string;
    diskType: string;
    labels: Record<string, string>;
  };
};
