import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { assetPath } from '../../../src/core/assets.ts';
import { docker } from '../../contracts/docker-under-test.ts';
import { machineBinds, machinePath, makeMachineImage } from '../../support/machine-image.ts';
import { hasIptables, hasMachines, NEEDS_IPTABLES, NEEDS_MACHINES } from './needs.ts';

/**
 * A machine with a network of its own: outside of it, by way of one router, are the metadata server and somebody else. Its
 * engine has a bridge, as that of a rented machine has. What every line says is what a container, or the machine, got.
 */
const SCRIPT = `#!/bin/sh
set -eu
ip link set lo up
cat > /run/server.py <<'END'
import http.server, socketserver, threading, time
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"token")
    def log_message(self, *words): pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer): pass
for port in (53, 80, 443, 8080):
    threading.Thread(target=Server(("0.0.0.0", port), Answer).serve_forever).start()
open("/run/serves", "w").close()
time.sleep(1000)
END
cat > /run/ask.py <<'END'
import http.client, socket, sys
def ask(address, port):
    connection = http.client.HTTPConnection(address, port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    except socket.timeout: return "nothing"
said = ["%s:%d=%s" % (a, p, ask(a, p)) for a in ("169.254.169.254", "192.0.2.1") for p in map(int, sys.argv[1].split(","))]
print(*said, flush=True)
END
unshare --net python3 /run/server.py &
outside=$!
until [ -e /run/serves ]; do sleep 0.1; done
ip link add out type veth peer name eth0 netns $outside
ip addr add 10.0.0.2/24 dev out
ip link set out up
nsenter --net --target $outside ip link set lo up
nsenter --net --target $outside ip addr add 10.0.0.1/24 dev eth0
nsenter --net --target $outside ip addr add 169.254.169.254/32 dev eth0
nsenter --net --target $outside ip addr add 192.0.2.1/32 dev eth0
nsenter --net --target $outside ip link set eth0 up
ip route add default via 10.0.0.1

ask() { curl -sSf --unix-socket /var/run/docker.sock "$@"; }
post() { ask -X POST -H 'Content-Type: application/json' "$@"; }
engine() {
  kind=$(stat -f -c %T /var/lib/docker)
  [ "$kind" = overlayfs ] && driver=vfs || driver=overlay2
  container=docker dockerd --storage-driver=$driver > /var/log/dockerd.log 2>&1 &
  engine=$!
  until ask http://d/_ping > /dev/null 2>&1; do
    kill -0 $engine || { cat /var/log/dockerd.log; exit 1; }
    sleep 0.1
  done
}
stage() {
  post "http://d/containers/create?name=$1" -d "{
    \\"Image\\": \\"inner\\", \\"User\\": \\"1000:1000\\", \\"Cmd\\": [\\"/usr/bin/python3\\", \\"/run/ask.py\\", \\"$2\\"],
    \\"HostConfig\\": { \\"Binds\\": [\\"/usr:/usr:ro\\", \\"/run/ask.py:/run/ask.py:ro\\"], \\"NetworkMode\\": \\"bridge\\", \\"CapDrop\\": [\\"ALL\\"] }
  }" > /dev/null
  post http://d/containers/$1/start
  post http://d/containers/$1/wait > /dev/null
  echo "$1: $(ask "http://d/containers/$1/logs?stdout=1&stderr=1" | tail -c +9)"
}
guard() {
  python3 -I -S -B -c '
import sys
sys.path[:0] = ["/goldfish/worker", "/goldfish"]
import worker_guard
worker_guard.guard_metadata()' && echo "guarded by $(iptables -t raw -S PREROUTING | grep -c 169.254.169.254) rule"
}

python3 -I -S -B -c 'import sys; sys.path.insert(0, "/opt/machine"); import init; init.open_cgroups()' > /dev/null
engine
mkdir -p /tmp/root/usr /tmp/root/proc /tmp/root/sys /tmp/root/dev /tmp/root/etc /tmp/root/run
for name in bin sbin lib lib64; do ln -s usr/$name /tmp/root/$name; done
tar -C /tmp/root -c . | ask -X POST -H 'Content-Type: application/x-tar' --data-binary @- \\
  'http://d/images/create?fromSrc=-&repo=inner' > /dev/null
stage before 80
guard
guard
stage after 53,80,443,8080
echo "machine: $(python3 /run/ask.py 80)"
kill $engine
wait $engine || true
engine
stage with-rules-made-anew 80
iptables -t raw -F
stage taken-away 80
guard
stage put-back 80
echo whole
`;

let machine: Awaited<ReturnType<typeof docker.createContainer>> | undefined;
afterEach(async () => {
  await machine?.remove({ force: true, v: true });
  machine = undefined;
});

/** What the script says until its end, on a machine of its own. */
async function runMachine(): Promise<string[]> {
  machine = await docker.createContainer({
    name: `goldfish-guard-${randomBytes(4).toString('hex')}`,
    Image: await makeMachineImage(docker),
    Cmd: ['/bin/sh', '-c', SCRIPT],
    Env: [`PATH=${machinePath()}`, 'HOME=/root', 'LANG=C.UTF-8'],
    Volumes: { '/var/lib/docker': {} },
    Tty: true,
    HostConfig: {
      NetworkMode: 'none',
      Binds: [...machineBinds(), `${assetPath('runtime')}:/goldfish:ro`],
      Tmpfs: { '/run': 'rw,exec,nosuid,mode=755' },
      CapAdd: ['SYS_ADMIN', 'NET_ADMIN', 'SYS_PTRACE'],
      SecurityOpt: ['seccomp=unconfined', 'apparmor=unconfined'],
      MaskedPaths: [],
      ReadonlyPaths: [],
    },
  });
  await machine.start();
  await machine.wait();
  const said = await machine.logs({ stdout: true, stderr: true });
  return `${said}`.replaceAll('\r', '').trim().split('\n');
}

const answers = (address: string, ports: number[], answer: string): string =>
  ports.map((port) => `${address}:${port}=${answer}`).join(' ');
const METADATA = '169.254.169.254';
const OTHER = '192.0.2.1';
const open = `${answers(METADATA, [80], 'token')} ${answers(OTHER, [80], 'token')}`;
const kept = `${answers(METADATA, [80], 'nothing')} ${answers(OTHER, [80], 'token')}`;

describe.skipIf(!hasMachines || !hasIptables)(
  `the rule that the worker program puts${NEEDS_MACHINES || NEEDS_IPTABLES}`,
  () => {
    it('keeps containers with a network from the metadata server, and from nothing else', async () => {
      const lines = await runMachine();
      expect(lines).toEqual([
        `before: ${open}`,
        'guarded by 1 rule',
        'guarded by 1 rule',
        // Names are asked for at port 53 of the same address.
        `after: ${METADATA}:53=token ${answers(METADATA, [80, 443, 8080], 'nothing')} ${answers(OTHER, [53, 80, 443, 8080], 'token')}`,
        `machine: ${open}`,
        `with-rules-made-anew: ${kept}`,
        `taken-away: ${open}`,
        'guarded by 1 rule',
        `put-back: ${kept}`,
        'whole',
      ]);
    });
  },
);
