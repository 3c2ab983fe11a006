import { type Content, contentOf } from './content.ts';

/** What goes back over the wire. */
export type Answer = { status: number; headers: Record<string, string>; content: Content };

export function json(value: object, { status = 200, headers = {} as Record<string, string> } = {}): Answer {
  const content = contentOf([Buffer.from(JSON.stringify(value))]);
  return { status, headers: { 'content-type': 'application/json; charset=UTF-8', ...headers }, content };
}

export function nothing(status: number, headers: Record<string, string> = {}): Answer {
  return { status, headers, content: contentOf([]) };
}
