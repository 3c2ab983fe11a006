import type { ServerContext } from '../context.ts';
import { tagsOfWorkspace } from '../store/tags.ts';

/** Tags by the version they lead to, those of its records included. */
export function tagsByVersion(ctx: Pick<ServerContext, 'db'>, workspace: string): Map<number, string[]> {
  const byVersion = Map.groupBy(tagsOfWorkspace(ctx.db, workspace), (tag) => tag.leadsTo);
  return new Map([...byVersion].map(([version, tags]) => [version, tags.map((tag) => tag.tag)]));
}

/** `@best @submitted` */
export function tagText(tags: readonly string[]): string {
  return tags.map((tag) => `@${tag}`).join(' ');
}
