import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { assetPath } from '../../../src/core/assets.ts';
import { PYTHON } from '../../support/run-wrapper.ts';

/** What a few lines of Python say last, with the worker program within their reach. */
function python(program: string, argument: unknown = null): unknown {
  const folders = [assetPath('runtime/worker'), assetPath('runtime')];
  const head = `import json, sys\nsys.path[:0] = ${JSON.stringify(folders)}\n`;
  const args = ['-I', '-S', '-B', '-c', head + program, JSON.stringify(argument)];
  const lines = execFileSync(PYTHON, args, { encoding: 'utf8' }).trimEnd().split('\n');
  return JSON.parse(lines.at(-1) ?? '');
}

/** Of each address: what the bootstrap and the worker program would send along. */
const ASK = `
import http.client
import bootstrap, worker_http
bootstrap.ask_metadata = lambda _path: json.dumps({"access_token": "hush"})
class Token:
    get = staticmethod(lambda: "hush")
class Connection:
    def __init__(self, *_, **__): pass
    def request(self, _method, _path, body=None, headers=None):
        sent.append(headers.get("Authorization"))
        raise OSError("there is no network")
    def close(self): pass
http.client.HTTPConnection = http.client.HTTPSConnection = Connection
told = []
for url in json.loads(sys.argv[1]):
    sent = []
    try:
        worker_http.Endpoint(url, Token()).open("GET", "/o")
    except worker_http.Away:
        told.append([url, bootstrap.bearer(url).get("Authorization"), sent[0]])
print(json.dumps(told))
`;

it('shows the token of its account to services of Google, over https', () => {
  const urls = [
    'https://storage.googleapis.com',
    'https://compute.googleapis.com/',
    'https://Storage.GoogleAPIs.com:443/base',
    'https://storage-vpc.p.googleapis.com',
  ];
  expect(python(ASK, urls)).toEqual(urls.map((url) => [url, 'Bearer hush', 'Bearer hush']));
});

it('shows the token of its account to nobody else, however secure', () => {
  const urls = [
    'http://storage.googleapis.com',
    'http://127.0.0.1:4443',
    'https://storage.example',
    'https://storage.googleapis.com.example',
    'https://notgoogleapis.com',
    'https://storage.example/storage.googleapis.com',
    'https://storage.example?host=.googleapis.com',
    'https://storage.googleapis.com@storage.example',
    'https://user@storage.googleapis.com',
  ];
  expect(python(ASK, urls)).toEqual(urls.map((url) => [url, null, null]));
});

it('signs in to registries of Google only', () => {
  const trusted = ['europe-docker.pkg.dev', 'us-central1-docker.pkg.dev', 'gcr.io', 'eu.gcr.io'];
  const others = [
    'registry.example',
    'pkg.dev.example',
    'evilpkg.dev',
    'notgcr.io',
    'gcr.io.example',
    '127.0.0.1:5000',
  ];
  const program = `import worker_engine\nprint(json.dumps([host for host in json.loads(sys.argv[1]) if worker_engine.knows_account(host)]))`;
  expect(python(program, [...trusted, ...others])).toEqual(trusted);
});

it('goes on writing letters after one failed in a way that nobody foresaw', () => {
  const program = `
import threading
import worker_letters
worker_letters.AGAIN_SECONDS = 0.01
class Bucket:
    said, again = [], threading.Event()
    def put(self, _key, data, budget=None):
        self.said.append(json.loads(data.decode())["phase"])
        if len(self.said) == 1:
            raise RuntimeError("a defect")
        self.again.set()
box = worker_letters.LetterBox(Bucket(), "w", 1)
box.start()
print(json.dumps([Bucket.again.wait(20), box.flush(20), Bucket.said]))`;
  expect(python(program)).toEqual([true, true, ['starting', 'starting']]);
});
