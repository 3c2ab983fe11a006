import { ApiError } from '../support/google-api-error.ts';
import { invalidField, notFound } from './api-error.ts';
import type { CallRecord, Calls } from './calls.ts';
import { ZONES } from './catalog.ts';
import type { FaultOf, Subject } from './faults.ts';
import { backendError } from './instance-routes.ts';
import { findRoute } from './routes.ts';
import type { World } from './world.ts';

export type ApiRequest = {
  method: string;
  /** `/compute/v1/projects/…?filter=…` */
  path: string;
  /** Parsed JSON; undefined where there is none. */
  body?: unknown;
  authorization?: string | undefined;
  /** The header `x-goog-api-version`: how the caller wants to be answered. */
  apiVersion?: string | undefined;
};

/** `disconnect`: the connection breaks instead. A body that is text is no JSON. */
export type ApiAnswer = { status: number; body: unknown } | 'disconnect';

const PREFIX = /^\/compute\/(?:v1|beta)\//;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const NO_UUID = '00000000-0000-0000-0000-000000000000';
/** From here on aggregated lists are partial, and cannot be asked for in another way. */
const ALWAYS_PARTIAL = '2026-09-01';

/** The whole API: one request in, one answer out, with faults before and after what is done. */
export async function answerCall(world: World, calls: Calls, request: ApiRequest): Promise<ApiAnswer> {
  const url = new URL(request.path, 'http://compute.googleapis.com');
  if ((request.apiVersion ?? '') >= ALWAYS_PARTIAL) url.searchParams.set('returnPartialSuccess', 'true');
  const found = findRoute(request.method, url.pathname.replace(PREFIX, ''));
  const record: CallRecord = {
    id: found?.route.id ?? 'unknown',
    method: request.method,
    path: request.path,
    at: world.time.now(),
    ...(request.authorization !== undefined && { authorization: request.authorization }),
  };
  calls.records.push(record);
  const answer = await answerFound(world, request, url, found);
  record.status = answer === 'disconnect' ? 0 : answer.status;
  return answer;
}

async function answerFound(
  world: World,
  request: ApiRequest,
  url: URL,
  found: ReturnType<typeof findRoute>,
): Promise<ApiAnswer> {
  if (!found || !PREFIX.test(url.pathname)) {
    return refused(new ApiError(404, 'notFound', `There is no ${request.method} ${url.pathname}.`));
  }
  const { route, params } = found;
  const subject = subjectOf(route.id, params, request.body);
  const trouble = world.faults.take('disconnect', subject) ?? world.faults.take('api-error', subject);
  if (trouble && !trouble.after) return troubled(trouble);
  let answer: ApiAnswer;
  try {
    refuseParameters(world, params, url.searchParams);
    const requestId = url.searchParams.get('requestId') ?? undefined;
    const call = { world, params, query: url.searchParams, body: request.body, requestId };
    answer = { status: 200, body: await route.handle(call) };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    answer = refused(error);
  }
  return trouble ? troubled(trouble) : answer;
}

function refused(error: ApiError): ApiAnswer {
  return { status: error.status, body: error.body() };
}

/** What faults are held against: an insert names its instance in the body. */
function subjectOf(method: string, params: Record<string, string>, body: unknown): Subject {
  const inBody = typeof body === 'object' && body !== null ? Reflect.get(body, 'name') : undefined;
  const name = params['instance'] ?? params['disk'] ?? (typeof inBody === 'string' ? inBody : undefined);
  return {
    method,
    ...(params['zone'] !== undefined && { zone: params['zone'] }),
    ...(name !== undefined && { name }),
  };
}

function refuseParameters(world: World, params: Record<string, string>, query: URLSearchParams): void {
  const { project, zone } = params;
  if (project !== undefined && project !== world.project) throw notFound(`projects/${project}`);
  if (zone !== undefined) {
    if (!Object.hasOwn(ZONES, zone)) throw invalidField('zone', zone, 'Unknown zone.');
    if (world.faults.take('zone-unreachable', { zone })) throw backendError();
  }
  const requestId = query.get('requestId');
  if (requestId !== null && (!UUID.test(requestId) || requestId === NO_UUID)) {
    throw invalidField('requestId', requestId, 'Must be a UUID that is not zero.');
  }
}

const TROUBLES: Record<number, { reason: string; message: string }> = {
  401: { reason: 'authError', message: 'Invalid Credentials' },
  403: { reason: 'forbidden', message: "Required 'compute.instances.list' permission for this resource" },
  429: {
    reason: 'rateLimitExceeded',
    message:
      "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service 'compute.googleapis.com' for consumer 'project_number:123456789012'.",
  },
  500: { reason: 'internalError', message: 'Internal error encountered.' },
  503: { reason: 'backendError', message: 'Backend Error' },
};

const HTML_502 =
  '<!DOCTYPE html>\n<html lang=en>\n  <title>Error 502 (Server Error)!!1</title>\n  <p><b>502.</b> <ins>That’s an error.</ins>\n';

function troubled(fault: FaultOf<'disconnect'> | FaultOf<'api-error'>): ApiAnswer {
  if (fault.kind === 'disconnect') return 'disconnect';
  const trouble = TROUBLES[fault.status];
  // What stands before the service answers for it, and knows no JSON.
  if (!trouble) return { status: fault.status, body: HTML_502 };
  return refused(new ApiError(fault.status, trouble.reason, trouble.message));
}
