import { createServer } from 'node:http';

/** What can be asked of a container engine before anything is started: it knows every image and starts nothing. */
export type MiniEngine = {
  /** `GET /images/my/base:7/json`, without the version of the interface. */
  asked: string[];
  /** Containers it was asked to make. */
  created: { User?: string; Image?: string }[];
  close(): Promise<void>;
};

export async function startMiniEngine(socket: string): Promise<MiniEngine> {
  const asked: string[] = [];
  const created: MiniEngine['created'] = [];
  const server = createServer((request, response) => {
    const url = decodeURIComponent(request.url ?? '').replace(/^\/v[\d.]+/, '');
    const [path = ''] = url.split('?');
    asked.push(`${request.method} ${path}`);
    const answer = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (path === '/_ping') answer(200, 'OK');
      else if (path === '/info') answer(200, { NCPU: 2, SecurityOptions: [] });
      else if (path.startsWith('/images/'))
        answer(200, { Id: `sha256:${'0'.repeat(64)}`, Config: { Env: [] } });
      else if (path === '/containers/create') {
        created.push(JSON.parse(Buffer.concat(chunks).toString('utf8')));
        answer(201, { Id: '1', Warnings: [] });
      } else answer(400, { message: 'it starts nothing' });
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(socket, resolve);
  });
  return {
    asked,
    created,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
