"""Requests to a service of the cloud, and how long one asks again."""

import http.client
import json
import random
import ssl
import time
import urllib.parse

from bootstrap import CALL_SECONDS, is_trusted

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0
BUDGET_SECONDS = 60.0
# How often a pause looks whether it is still worth waiting.
LOOK_SECONDS = 0.2


class Away(Exception):
    """No answer, or none that makes sense: perhaps later."""


class Refused(Exception):
    """It says no, and would say so again."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Endpoint:
    def __init__(self, url, token):
        """`token`: the machine's, which goes to services that know its account, and to nobody else."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError("%s is no address of a service" % url)
        self._secure, self._place, self._root = parts.scheme == "https", parts.netloc, parts.path.rstrip("/")
        self._token, self._is_trusted = token, is_trusted(url)
        self._trust = ssl.create_default_context() if self._secure else None

    def open(self, method, path, headers=None, body=None, seconds=CALL_SECONDS):
        """An Answer. Raises Away."""
        if self._secure:
            connection = http.client.HTTPSConnection(self._place, timeout=seconds, context=self._trust)
        else:
            connection = http.client.HTTPConnection(self._place, timeout=seconds)
        sent = dict(headers or {})
        if self._is_trusted:
            sent["Authorization"] = "Bearer %s" % self._token.get()
        if method in ("POST", "PUT"):
            sent["Content-Length"] = str(len(body or b""))
        try:
            connection.request(method, self._root + path, body=body, headers=sent)
            return Answer(connection, connection.getresponse(), self._token)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Away("no answer: %s" % (error or type(error).__name__)) from error

    def path_of(self, url):
        """Of an address that the service gave us, for `open`. Raises Away where it is another service's."""
        parts = urllib.parse.urlsplit(url)
        if parts.netloc != self._place or (parts.scheme == "https") != self._secure:
            raise Away("the service names an address that is not its own")
        path = parts.path[len(self._root) :] if parts.path.startswith(self._root) else parts.path
        return path + ("?" + parts.query if parts.query else "")


class Answer:
    def __init__(self, connection, response, token):
        self._connection, self._response, self._tokens = connection, response, token
        self.status = response.status

    def header(self, name):
        return self._response.getheader(name)

    def read(self, size=None):
        """Raises Away where the body ends before its end."""
        try:
            data = self._response.read(size) if size is not None else self._response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Away("the answer was cut short") from error
        if size is not None and not data and self._response.length:
            raise Away("the answer was cut short")
        return data

    def json(self):
        try:
            return json.loads(self.read().decode())
        except ValueError as error:
            raise Away("the answer makes no sense") from error

    def expect(self, *statuses, passing=()):
        """Raises Away or Refused for any other status. `passing`: those that are worth another try here."""
        if self.status in statuses:
            return self
        message = "HTTP %d: %s" % (self.status, self._words())
        if self.status == 401:
            self._tokens.forget()
        if self.status in (401, 408, 429) or self.status >= 500 or self.status in passing:
            raise Away(message)
        raise Refused(self.status, message)

    def _words(self):
        text = self.read().decode("utf-8", "replace")
        try:
            text = json.loads(text)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            pass
        return " ".join(str(text).split())[:200]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connection.close()


def patiently(work, check=lambda: None, budget=BUDGET_SECONDS):
    """work() again while it raises Away, with growing pauses, until the budget is used up. check() may raise to end it."""
    limit, pause = time.monotonic() + budget, FIRST_PAUSE
    while True:
        check()
        try:
            return work()
        except Away:
            # Those who failed together do not come back together.
            rest = pause * random.uniform(0.5, 1.0)
            if time.monotonic() + rest >= limit:
                raise
        wait(rest, check)
        pause = min(LONGEST_PAUSE, pause * 2)


def wait(seconds, check=lambda: None):
    limit = time.monotonic() + seconds
    while True:
        check()
        rest = limit - time.monotonic()
        if rest <= 0:
            return
        time.sleep(min(LOOK_SECONDS, rest))
