"""Four calls of a container engine: attach, start, inspect, kill. Over its unix socket, or TCP of this machine.

Unversioned paths: the engine answers in its newest version, and these four have not changed since the first.
"""

import collections
import http.client
import json
import socket
import urllib.parse

# A start may have to wait for a slow disk.
START_SECONDS = 120.0
CALL_SECONDS = 20.0
SHORTEST_PAUSE, LONGEST_PAUSE = 0.02, 2.0

# running; exit_code; oom: the engine's word; began: whether it was ever started.
ContainerState = collections.namedtuple("ContainerState", "running exit_code oom began")


class EngineGone(Exception):
    """It could not be asked, or its answer makes no sense: perhaps later."""


class EngineRefused(Exception):
    """It says no."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status
        self.message = message


class Engine:
    def __init__(self, address):
        """`unix:///var/run/docker.sock` or `http://127.0.0.1:2375`. Raises ValueError for anything else."""
        parts = urllib.parse.urlsplit(address)
        if parts.scheme == "unix" and parts.path:
            self._path_of_socket, self._place = parts.path, None
        elif parts.scheme in ("http", "tcp") and parts.hostname:
            self._path_of_socket, self._place = None, (parts.hostname, parts.port or 2375)
        else:
            raise ValueError("%s is no address of a container engine" % address)

    def attach(self, container, stdin):
        """The container's output, and its input if asked for, as one raw connection. It may not run yet."""
        query = "stream=1&stdout=1&stderr=1" + ("&stdin=1" if stdin else "")
        request = "POST %s?%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        try:
            connection = self._connect(CALL_SECONDS)
        except OSError as error:
            raise EngineGone(str(error)) from error
        try:
            connection.sendall((request % (self._path(container, "attach"), query)).encode())
            head = self._read_head(connection)
            status = int(head.split(None, 2)[1])
            if status not in (101, 200):
                raise EngineRefused(status, message_of(connection.recv(65536)))
        except (OSError, ValueError, IndexError) as error:
            connection.close()
            raise EngineGone(str(error)) from error
        except EngineRefused:
            connection.close()
            raise
        return connection

    @staticmethod
    def _read_head(connection):
        """Byte by byte: what follows the empty line is the container's."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = connection.recv(1)
            if not byte or len(head) > 65536:
                raise ValueError("the answer was cut short")
            head += byte
        return head

    def start(self, container):
        self._call("POST", self._path(container, "start"), START_SECONDS)

    def kill(self, container, signal_name):
        self._call("POST", self._path(container, "kill") + "?signal=" + signal_name, CALL_SECONDS)

    def inspect(self, container):
        body = self._call("GET", self._path(container, "json"), CALL_SECONDS)
        try:
            state = json.loads(body.decode())["State"]
            began = not str(state["StartedAt"]).startswith("0001-")
            return ContainerState(bool(state["Running"]), int(state["ExitCode"]), bool(state["OOMKilled"]), began)
        except (ValueError, KeyError, TypeError) as error:
            raise EngineGone("its answer makes no sense") from error

    def _path(self, container, what):
        return "/containers/%s/%s" % (urllib.parse.quote(container, safe=""), what)

    def _call(self, method, path, seconds):
        connection = http.client.HTTPConnection("localhost")
        try:
            connection.sock = self._connect(seconds)
            connection.request(method, path, headers={"Content-Length": "0"} if method == "POST" else {})
            response = connection.getresponse()
            status, body = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise EngineGone(str(error)) from error
        finally:
            connection.close()
        # 304: it has been started already.
        if status >= 400:
            raise EngineRefused(status, message_of(body))
        return body

    def _connect(self, seconds):
        if self._place is not None:
            return socket.create_connection(self._place, seconds)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(seconds)
        try:
            connection.connect(self._path_of_socket)
        except OSError:
            connection.close()
            raise
        return connection


def message_of(body):
    try:
        text = json.loads(body.decode("utf-8", "replace"))["message"]
    except (ValueError, KeyError, TypeError):
        text = body.decode("utf-8", "replace")
    return " ".join(str(text).split()) or "it gave no reason"


class Pause:
    """Before an engine is asked again. Longer each time; ends early when there is something to look at."""

    def __init__(self, first=SHORTEST_PAUSE):
        self._seconds = first

    def rest(self, condition):
        with condition:
            condition.wait(self._seconds)
        self._seconds = min(LONGEST_PAUSE, self._seconds * 1.5)
