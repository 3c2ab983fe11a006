"""A large object in pieces, in one session of the service that can be asked how far it is. How long it is shows at its end."""

import base64
import hashlib
import re

from worker_http import Away, patiently

# A multiple of 256 KiB, as the service wants it.
PIECE_BYTES = 8 * 1024 * 1024


class Upload:
    """To be written to, then finished. What is written is held here until the service has it: a piece, never the whole."""

    def __init__(self, endpoint, path, check):
        self._endpoint, self._path, self._check = endpoint, path, check
        self._strong, self._weak = hashlib.sha256(), hashlib.md5()
        self._session, self._at = None, 0
        # What the service is not known to have.
        self.rest = bytearray()
        # Whether the service is done with it, and whether it did not take it: something was there already.
        self.over = self.refused = False

    @property
    def begun(self):
        return self._session is not None or self.over

    @property
    def sums(self):
        """(size, SHA-256 in hex, MD5 in base64) of what was written."""
        return self.tell(), self._strong.hexdigest(), base64.b64encode(self._weak.digest()).decode()

    def tell(self):
        return self._at + len(self.rest)

    def write(self, data):
        """Raises Away, Refused (404 or 410 where the service has forgotten the session), and what check() raises."""
        self._check()
        self._strong.update(data)
        self._weak.update(data)
        self.rest += data
        # More than a piece: the last one tells how long the whole is, and must not be empty.
        while len(self.rest) > PIECE_BYTES:
            self._send(None)
        return len(data)

    def finish(self):
        """Raises the same. Whether what is there then is what was written, the sums tell."""
        total = self.tell()
        while not self.over:
            self._send(total)

    def _send(self, total):
        """A piece; with `total`, the length of the whole, the last one."""
        if not self.begun:
            patiently(self._begin, self._check)
        size = min(len(self.rest), PIECE_BYTES)
        known = None if self.over else self._send_piece(bytes(self.rest[:size]), total)
        known = self._at + size if known is None else known
        del self.rest[: known - self._at]
        self._at = known

    def _begin(self):
        headers = {"Content-Type": "application/json"}
        with self._endpoint.open("POST", self._path, headers, b"{}") as answer:
            if answer.status == 412:
                self.over = self.refused = True
            else:
                self._session = self._endpoint.path_of(answer.expect(200, 201).header("location") or "")

    def _send_piece(self, data, total):
        """How many bytes the service has then; None once it is done."""
        last, whole = self._at + len(data) - 1, "*" if total is None else total
        name = "bytes %d-%d/%s" % (self._at, last, whole) if data else "bytes */%s" % whole
        failed = []

        def send():
            # Nobody here knows how much of an earlier try arrived.
            known = self._continue("bytes */*", b"") if failed else self._at
            if known == self._at:
                failed.append(True)
                known = self._continue(name, data)
            if known is not None and not self._at < known <= self._at + len(data):
                raise Away("the service has taken nothing of it, or more than there is")
            return known

        return patiently(send, self._check)

    def _continue(self, content_range, data):
        with self._endpoint.open("PUT", self._session, {"Content-Range": content_range}, data) as answer:
            if answer.status != 308:
                self.over, self.refused = True, answer.expect(200, 201, 412).status == 412
                return None
            last = re.match(r"bytes=0-(\d+)\Z", answer.header("range") or "")
            return int(last.group(1)) + 1 if last else 0
