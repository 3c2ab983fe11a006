"""The container engine of the machine: images by digest, and the containers of a job. Starting them is the run wrapper's."""

import base64
import http.client
import json
import socket
import time
import urllib.parse

from container_stream import FrameReader
from engine_client import CALL_SECONDS, Engine, EngineGone, EngineRefused, message_of
from worker_http import wait

# A pull is silent while the engine unpacks a layer.
PULL_SILENCE_SECONDS = 120.0
PULL_TRIES, PULL_PAUSE_SECONDS = 5, 5.0
REMOVE_SECONDS = 60.0
OUTPUT_BYTES = 64 * 1024
LOOK_SECONDS = 0.2
LABEL = "goldfish.run"
# Registries that know the machine's account: their hosts, or what these end with.
REGISTRIES = ("gcr.io", ".gcr.io", ".pkg.dev")


class PullFailed(Exception):
    """The image is not to be had; the text is the engine's."""


class MachineEngine(Engine):
    def answers(self):
        try:
            self._ask("GET", "/_ping", CALL_SECONDS)
            return True
        except (EngineGone, EngineRefused):
            return False

    # --- images -------------------------------------------------------------------------------------------------------

    def images(self):
        """Digests of what it holds."""
        listed = self._json("GET", "/images/json")
        names = [name for image in listed for name in image.get("RepoDigests") or []]
        return sorted({name.split("@", 1)[1] for name in names if "@" in name})

    def pull(self, reference, token, check):
        """The image, unless it is there. token() where the registry is signed in to, else None. Raises PullFailed."""
        for number in range(1, PULL_TRIES + 1):
            check()
            if self.has(reference):
                return
            try:
                self._pull(reference, token, check)
                if self.has(reference):
                    return
                raise EngineGone("the engine pulled the image and does not have it")
            except (EngineGone, EngineRefused) as error:
                if number == PULL_TRIES:
                    raise PullFailed(str(error)) from error
            wait(PULL_PAUSE_SECONDS * number, check)

    def has(self, reference):
        try:
            self._ask("GET", "/images/%s/json" % urllib.parse.quote(reference, safe="/:@"), CALL_SECONDS)
            return True
        except EngineRefused as error:
            if error.status == 404:
                return False
            raise

    def _pull(self, reference, token, check):
        headers = {}
        if token is not None:
            host = reference.split("/", 1)[0]
            if not knows_account(host):
                raise PullFailed("the registry %s does not know this machine's account" % host)
            # With a token for a password this is the user; anybody who may pull has the token, so it is for this call only.
            login = {"username": "oauth2accesstoken", "password": token(), "serveraddress": host}
            headers["X-Registry-Auth"] = base64.urlsafe_b64encode(json.dumps(login).encode()).decode()
        path = "/images/create?fromImage=%s" % urllib.parse.quote(reference, safe="")
        with self._open("POST", path, PULL_SILENCE_SECONDS, headers=headers) as response:
            try:
                for line in iter(response.readline, b""):
                    check()
                    raise_said(line)
            except (OSError, http.client.HTTPException) as error:
                raise EngineGone(str(error)) from error

    # --- containers ---------------------------------------------------------------------------------------------------

    def create(self, name, body):
        """Anew, where there is one of that name."""
        path = "/containers/create?name=%s" % urllib.parse.quote(name, safe="")
        try:
            self._json("POST", path, body)
        except EngineRefused as error:
            if error.status != 409:
                raise
            self.remove(name)
            self._json("POST", path, body)

    def remove(self, name):
        """Whatever it does. Nothing where there is none."""
        try:
            self._ask("DELETE", self._path(name, "")[:-1] + "?force=1&v=1", REMOVE_SECONDS)
        except EngineRefused as error:
            if error.status != 404:
                raise

    def remove_all(self, names=()):
        """Every container of ours, and those names."""
        query = urllib.parse.quote(json.dumps({"label": [LABEL]}))
        listed = self._json("GET", "/containers/json?all=1&filters=%s" % query)
        for name in [*names, *(container["Id"] for container in listed)]:
            self.remove(name)

    def run(self, name, body, check):
        """A container from its creation to its removal: (exit code, the end of what it printed)."""
        self.create(name, body)
        try:
            stream = self.attach(name, stdin=False)
            try:
                self.start(name)
                output = self._output(stream, check)
            finally:
                stream.close()
            while True:
                check()
                state = self.inspect(name)
                if not state.running:
                    return state.exit_code, output
                time.sleep(LOOK_SECONDS)
        finally:
            self.remove(name)

    @staticmethod
    def _output(stream, check):
        frames, output = FrameReader(), b""
        stream.settimeout(LOOK_SECONDS)
        while True:
            check()
            try:
                data = stream.recv(OUTPUT_BYTES)
            except socket.timeout:
                continue
            except OSError:
                return output
            if not data:
                return output
            output = (output + b"".join(text for _stream, text in frames.feed(data)))[-OUTPUT_BYTES:]

    # --- calls --------------------------------------------------------------------------------------------------------

    def _json(self, method, path, body=None):
        headers = {"Content-Type": "application/json"} if body is not None else {}
        data = json.dumps(body).encode() if body is not None else None
        try:
            return json.loads(self._ask(method, path, CALL_SECONDS, data, headers).decode())
        except ValueError as error:
            raise EngineGone("its answer makes no sense") from error

    def _ask(self, method, path, seconds, data=None, headers=None):
        with self._open(method, path, seconds, data, headers) as response:
            try:
                return response.read()
            except (OSError, http.client.HTTPException) as error:
                raise EngineGone(str(error)) from error

    def _open(self, method, path, seconds, data=None, headers=None):
        """The open answer of a call that was not refused."""
        connection = http.client.HTTPConnection("localhost")
        try:
            connection.sock = self._connect(seconds)
            sent = dict(headers or {}, Connection="close")
            if method == "POST" and data is None:
                sent["Content-Length"] = "0"
            connection.request(method, path, body=data, headers=sent)
            response = connection.getresponse()
            if response.status < 400:
                return response
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise EngineGone(str(error)) from error
        connection.close()
        raise EngineRefused(response.status, message_of(body))


def knows_account(host):
    """Whether the token of the machine's account is for this registry."""
    return host == REGISTRIES[0] or host.endswith(REGISTRIES[1:])


def raise_said(line):
    """Raises EngineGone where a line of a pull's progress speaks of an error: the status came long before."""
    try:
        said = json.loads(line.decode("utf-8", "replace")).get("error")
    except (ValueError, AttributeError):
        return
    if said:
        raise EngineGone(" ".join(str(said).split())[:500])
