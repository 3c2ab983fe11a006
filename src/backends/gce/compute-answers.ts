import { z } from 'zod';
import {
  ComputeFailure,
  type InstanceFacts,
  type InstanceList,
  type OperationFacts,
} from './compute-calls.ts';

/** What the vendor's client answers with; of a list the third part is the whole page as the service gave it. */
export type VendorAnswer = readonly [unknown, ...unknown[]];

export type PageQuery = { maxResults: number; pageToken?: string };

/** The service gives no more at once. */
const MOST_RESULTS = 500;

/** Where the client leaves out what the service did, or says null. */
const text = z.string().nullable().default(null);

const instance = z.object({
  name: z.string(),
  zone: z.string(),
  status: z.string(),
  creationTimestamp: text,
  scheduling: z.object({ provisioningModel: text }).nullable().default(null),
});

const operation = z.object({
  name: z.string(),
  // The client leaves out a state that it does not know; the end is one that it does.
  status: z.string().default('RUNNING'),
  operationType: text,
  targetLink: text,
  error: z
    .object({
      errors: z
        .array(z.object({ code: text, message: text, errorDetails: z.unknown().optional() }))
        .nullable()
        .default(null),
    })
    .nullable()
    .default(null),
  httpErrorStatusCode: z.number().nullable().default(null),
});

const warning = z.object({ code: text }).nullable().default(null);
const instances = z.array(instance).nullable().default(null);

const zonePage = z.object({ items: instances, warning, nextPageToken: text });
const operationsPage = z.object({ items: z.array(operation).nullable().default(null), nextPageToken: text });
const aggregatedPage = z.object({
  /** By `zones/us-central1-a`. */
  items: z.record(z.string(), z.object({ instances, warning })).nullable().default(null),
  unreachables: z.array(z.string()).nullable().default(null),
  nextPageToken: text,
});

export function readInstance([answer]: VendorAnswer): InstanceFacts {
  return read(instance, answer);
}

export function readOperation([answer]: VendorAnswer): OperationFacts {
  return read(operation, answer);
}

/** The client hands out an operation that it has started inside of one of its own. */
export function readStarted([answer]: VendorAnswer): OperationFacts {
  return read(z.object({ latestResponse: operation }), answer).latestResponse;
}

export function readContents([answer]: VendorAnswer): string {
  return read(z.object({ contents: text }), answer).contents ?? '';
}

/** `ask` is given what names the page. */
type AskPage = (page: PageQuery) => Promise<VendorAnswer>;

export async function readZoneInstances(zone: string, ask: AskPage): Promise<InstanceList> {
  const pages = await readPages(zonePage, ask);
  const isSilent = pages.some((page) => isSilence(page.warning));
  return { instances: pages.flatMap(({ items }) => items ?? []), silentZones: isSilent ? [zone] : [] };
}

/** A zone that does not answer is named beside the others, or in its own place, or both. */
export async function readAllInstances(ask: AskPage): Promise<InstanceList> {
  const found: InstanceFacts[] = [];
  const silent = new Set<string>();
  for (const { items, unreachables } of await readPages(aggregatedPage, ask)) {
    for (const scope of unreachables ?? []) silent.add(lastPart(scope));
    for (const [scope, { instances: there, warning: told }] of Object.entries(items ?? {})) {
      found.push(...(there ?? []));
      if (isSilence(told)) silent.add(lastPart(scope));
    }
  }
  return { instances: found, silentZones: [...silent].sort() };
}

export async function readZoneOperations(ask: AskPage): Promise<OperationFacts[]> {
  return (await readPages(operationsPage, ask)).flatMap(({ items }) => items ?? []);
}

async function readPages<P extends { nextPageToken: string | null }>(
  schema: z.ZodType<P>,
  ask: AskPage,
): Promise<P[]> {
  const pages: P[] = [];
  let token: string | null = null;
  do {
    const answer: VendorAnswer = await ask({
      maxResults: MOST_RESULTS,
      ...(token === null ? {} : { pageToken: token }),
    });
    const page: P = read(schema, answer[2]);
    pages.push(page);
    token = page.nextPageToken === '' ? null : page.nextPageToken;
  } while (token !== null);
  return pages;
}

/** `NO_RESULTS_ON_PAGE` is the word for a scope that was asked and has nothing. */
function isSilence(told: { code: string | null } | null): boolean {
  return told?.code === 'UNREACHABLE' || told?.code === 'PARTIAL_SUCCESS';
}

/** `zones/us-central1-a`, or a whole link. */
function lastPart(scope: string): string {
  return scope.slice(scope.lastIndexOf('/') + 1);
}

/** Whether what was asked for was done is not known where the answer cannot be read. */
function read<T>(schema: z.ZodType<T>, answer: unknown): T {
  const result = schema.safeParse(answer);
  if (result.success) return result.data;
  throw new ComputeFailure({
    message: 'The answer of Compute Engine could not be read.',
    cause: result.error,
  });
}
