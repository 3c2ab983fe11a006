import type { Clock } from '../../core/clock.ts';
import { isGoogleApi } from '../../core/google-api.ts';

/** Of the vendor's client only what sends requests is used: it finds the credentials and signs. */
export type GcsTransport = { request(request: TransportRequest): Promise<TransportResponse> };

export type TransportRequest = {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  url: string;
  headers: Record<string, string>;
  data?: Buffer;
  responseType: 'text' | 'stream';
  signal: AbortSignal;
  redirect: 'manual';
  retry: false;
  validateStatus: () => boolean;
};

export type TransportResponse = { status: number; headers: Headers; data: unknown };

/** A bucket, or the part of it whose names begin with `prefix`, and how patient we are with it. */
export type GcsBucket = {
  name: string;
  prefix: string;
  /** Without a slash at its end. */
  endpoint: string;
  /** Made when it is first needed: importing the client takes a good part of a second. */
  transport: () => Promise<GcsTransport>;
  clock: Clock;
  /** How long a step of a call is repeated, in milliseconds. */
  budgetMs: number;
  /** A body of more bytes is uploaded in pieces of this many, a multiple of 256 KiB. */
  chunkBytes: number;
  /** True once an answer has shown that the bucket is there. From then on "not found" speaks of the object. */
  seen: boolean;
};

const PUBLIC_ENDPOINT = 'https://storage.googleapis.com';

/** Where requests go, and who sends them. Only Google's own addresses are shown the credentials. */
export function createTransport(apiEndpoint: string | undefined): {
  endpoint: string;
  transport: () => Promise<GcsTransport>;
} {
  let made: Promise<GcsTransport> | undefined;
  const transport = (): Promise<GcsTransport> => {
    made ??= makeTransport(apiEndpoint);
    return made;
  };
  return { endpoint: (apiEndpoint ?? PUBLIC_ENDPOINT).replace(/\/+$/, ''), transport };
}

async function makeTransport(apiEndpoint: string | undefined): Promise<GcsTransport> {
  const { Storage } = await import('@google-cloud/storage');
  if (apiEndpoint === undefined || isGoogleApi(new URL(apiEndpoint))) return new Storage().authClient;
  const { PassThroughClient } = await import('google-auth-library');
  return new Storage({ apiEndpoint, authClient: new PassThroughClient() }).authClient;
}
