/** The resources as the API shows them: only fields that a caller of ours could look at. */

export type InstanceStatus = 'PROVISIONING' | 'STAGING' | 'RUNNING' | 'STOPPING' | 'TERMINATED';
export type ProvisioningModel = 'STANDARD' | 'SPOT';
export type TerminationAction = 'STOP' | 'DELETE';
export type MetadataItem = { key: string; value: string };

/** What becomes of the machine when its host needs care, when it runs too long, when others pay more. */
export type Scheduling = {
  onHostMaintenance: 'MIGRATE' | 'TERMINATE';
  automaticRestart: boolean;
  preemptible: boolean;
  provisioningModel: ProvisioningModel;
  instanceTerminationAction?: TerminationAction;
  /** Seconds as text: the API's int64. */
  maxRunDuration?: { seconds: string };
};

export type AttachedDisk = {
  kind: 'compute#attachedDisk';
  type: 'PERSISTENT' | 'SCRATCH';
  mode: 'READ_WRITE' | 'READ_ONLY';
  /** Link of the disk; a scratch disk has none. */
  source?: string;
  deviceName: string;
  index: number;
  boot: boolean;
  autoDelete: boolean;
  diskSizeGb: string;
};

export type InstanceResource = {
  kind: 'compute#instance';
  id: string;
  name: string;
  description?: string;
  creationTimestamp: string;
  zone: string;
  machineType: string;
  status: InstanceStatus;
  cpuPlatform: string;
  selfLink: string;
  tags: { items?: string[]; fingerprint: string };
  disks: AttachedDisk[];
  networkInterfaces: unknown[];
  metadata: { kind: 'compute#metadata'; fingerprint: string; items?: MetadataItem[] };
  serviceAccounts?: { email: string; scopes: string[] }[];
  scheduling: Scheduling;
  labels?: Record<string, string>;
  labelFingerprint: string;
  guestAccelerators?: { acceleratorType: string; acceleratorCount: number }[];
  startRestricted: boolean;
  deletionProtection: boolean;
  lastStartTimestamp?: string;
  lastStopTimestamp?: string;
  /** When `maxRunDuration` ends it; there while the machine runs. */
  resourceStatus?: { scheduling: { terminationTimestamp?: string } };
};

export type DiskResource = {
  kind: 'compute#disk';
  id: string;
  name: string;
  creationTimestamp: string;
  sizeGb: string;
  zone: string;
  type: string;
  status: 'CREATING' | 'READY';
  selfLink: string;
  sourceImage?: string;
  /** Links of the instances it is attached to; absent where it is free. */
  users?: string[];
  labels?: Record<string, string>;
};

export type OperationError = { code: string; message: string; errorDetails?: unknown[] };

export type OperationResource = {
  kind: 'compute#operation';
  id: string;
  name: string;
  zone: string;
  /** The caller's `requestId`. */
  clientOperationId?: string;
  operationType: string;
  targetLink: string;
  targetId: string;
  status: 'PENDING' | 'RUNNING' | 'DONE';
  statusMessage?: string;
  user: string;
  progress: number;
  insertTime: string;
  startTime?: string;
  endTime?: string;
  error?: { errors: OperationError[] };
  httpErrorStatusCode?: number;
  httpErrorMessage?: string;
  selfLink: string;
};

/** Resources name each other by such links, wherever the endpoint is. */
const BASE = 'https://www.googleapis.com/compute/v1/';

export function link(resource: string): string {
  return `${BASE}${resource}`;
}

/** `https://…/compute/v1/projects/p/zones/z/instances/i`, wherever a client was pointed, or a part of it, to `projects/p/zones/z/instances/i`. */
export function resourceOf(linkOrPath: string): string {
  return linkOrPath.replace(/^https?:\/\/[^/]+\/compute\/(v1|beta)\//, '');
}

export function lastPart(linkOrPath: string): string {
  return linkOrPath.slice(linkOrPath.lastIndexOf('/') + 1);
}

const PACIFIC_OFFSET_MS = 8 * 3_600_000;

/** Times come in the time zone of the service's home, not in UTC: who compares texts is wrong. */
export function timestamp(ms: number): string {
  return new Date(ms - PACIFIC_OFFSET_MS).toISOString().replace('Z', '-08:00');
}
