import { diskRoutes } from './disk-routes.ts';
import { instanceRoutes } from './instance-routes.ts';
import { operationRoutes } from './operation-routes.ts';
import { placeRoutes } from './place-routes.ts';
import type { World } from './world.ts';

/** One request, its path taken apart. */
export type Call = {
  world: World;
  /** `project`, `zone`, `instance`, …: the names of the pattern. */
  params: Record<string, string>;
  query: URLSearchParams;
  body: unknown;
  requestId: string | undefined;
};

export type Route = {
  /** The API's own name of the call: `instances.insert`. */
  id: string;
  method: 'GET' | 'POST' | 'DELETE';
  /** Below `/compute/v1/`; `{name}` is one part. */
  pattern: string;
  /** Answers with the body of a 200; throws the ApiError of anything else. */
  handle(call: Call): unknown;
};

const ROUTES: Route[] = [...placeRoutes, ...instanceRoutes, ...operationRoutes, ...diskRoutes];

const COMPILED = ROUTES.map((route) => ({
  route,
  pattern: new RegExp(`^${route.pattern.replaceAll(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`),
}));

/** `path` below `/compute/v1/`. */
export function findRoute(
  method: string,
  path: string,
): { route: Route; params: Record<string, string> } | undefined {
  for (const { route, pattern } of COMPILED) {
    const match = route.method === method ? pattern.exec(path) : null;
    if (!match) continue;
    const params: Record<string, string> = {};
    for (const [name, value] of Object.entries(match.groups ?? {})) params[name] = decodeURIComponent(value);
    return { route, params };
  }
  return undefined;
}
