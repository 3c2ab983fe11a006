"""What the metadata server of the machine says: its settings, its token, and what changes while it runs."""

import json
import threading
import time

from bootstrap import ask, ask_metadata, metadata_url, require
from worker_http import Away

# A token is asked for anew so long before it ends.
EARLY_SECONDS = 120.0
# The server answers a waiting request after so long at the latest.
WATCH_SECONDS = 300
AGAIN_SECONDS = 2.0


class Token:
    """Of the machine's account. Kept in memory only."""

    def __init__(self):
        self._lock, self._text, self._until = threading.Lock(), None, 0.0

    def get(self):
        """Raises Away."""
        with self._lock:
            if self._text is None or time.monotonic() > self._until:
                try:
                    document = json.loads(ask_metadata("instance/service-accounts/default/token"))
                    self._text = document["access_token"]
                    self._until = time.monotonic() + float(document["expires_in"]) - EARLY_SECONDS
                except Exception as error:  # noqa: B902 - its sort makes no difference
                    raise Away("the machine has no token: %s" % type(error).__name__) from None
            return self._text

    def forget(self):
        with self._lock:
            self._text = None


class Watch(threading.Thread):
    """Waits at the server until a value is another one, and says so; first of all it says what it is."""

    def __init__(self, path, on_value):
        super().__init__(daemon=True)
        self._path, self._on_value = path, on_value

    def run(self):
        etag, shown = None, None
        while True:
            try:
                etag, value = self._look(etag)
            except Exception:  # noqa: B902 - whatever it is, it has to go on
                time.sleep(AGAIN_SECONDS)
                continue
            if value != shown:
                shown = value
                self._on_value(value)

    def _look(self, etag):
        separator = "&" if "?" in self._path else "?"
        query = "%swait_for_change=true&last_etag=%s&timeout_sec=%d" % (separator, etag or "0", WATCH_SECONDS)
        headers = {"Metadata-Flavor": "Google"}
        with ask(metadata_url(self._path + query), headers=headers, seconds=WATCH_SECONDS + 30) as answer:
            require(answer)
            return answer.getheader("ETag"), answer.read().decode()
