import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { until } from '../../integration/until.ts';
import type { Blow } from './points.ts';

/** Who is asked by the programs of machines at each of their points, and says what is to happen there. */
export type Referee = {
  /** What stands for the points in a copy of runtime/: see `copyMarked`. */
  module: string;
  /** The next time that somebody comes there, and after he came to `after`. */
  arm(name: string, of: { blow: Blow; after: string | undefined }): void;
  /** Resolves when it has happened; where the power is to be cut, whoever came there waits for it. */
  struck(name: string): Promise<void>;
  close(): Promise<void>;
};

/** A machine is on the network of this one. The word comes as the whole answer. */
const MODULE = `import http.client, os, signal, time


def here(name):
    word = ask(name)
    if word == "program":
        os.kill(os.getpid(), signal.SIGKILL)
    while word == "power":
        time.sleep(1)


def ask(name):
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
    try:
        connection.request("POST", "/" + name)
        return connection.getresponse().read().decode()
    finally:
        connection.close()
`;

type Armed = { name: string; blow: Blow; after: string | undefined };

export async function openReferee(): Promise<Referee> {
  let armed: Armed | undefined;
  const struck = new Set<string>();
  const judge = (name: string): string => {
    if (armed === undefined) return '';
    if (armed.after === name) armed = { ...armed, after: undefined };
    if (armed.name !== name || armed.after !== undefined) return '';
    const word = armed.blow === 'program' ? 'program' : 'power';
    armed = undefined;
    struck.add(name);
    return word;
  };
  const server = createServer((request, response: ServerResponse) => {
    response.end(judge((request.url ?? '').slice(1)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    module: MODULE.replace('PORT', `${port}`),
    arm: (name, of) => {
      struck.delete(name);
      armed = { name, ...of };
    },
    struck: (name) => until(() => struck.has(name), `a machine to come to ${name}`, 60),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
