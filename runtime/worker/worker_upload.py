"""A large object in pieces, in one session of the service that can be asked how far it is."""

import json
import os
import re

from worker_http import Away, patiently

# A multiple of 256 KiB, as the service wants it.
PIECE_BYTES = 8 * 1024 * 1024


class Upload:
    def __init__(self, endpoint, path, about, stored):
        """`about`: md5, size. stored(answer): what comes of the answer that ends it, or raises."""
        self._endpoint, self._path, self._about, self._stored = endpoint, path, about, stored

    def send(self, file, check):
        """Raises Away, Refused (404 or 410 where the service has forgotten the session), and what stored() raises."""
        session = patiently(self._begin, check)
        at = 0
        while at is not None:
            if not 0 <= at <= self._about["size"]:
                raise Away("the service has more than there is")
            at = self._send_piece(session, at, os.pread(file.fileno(), PIECE_BYTES, at), check)

    def _begin(self):
        body = json.dumps({"md5Hash": self._about["md5"]}).encode()
        headers = {"Content-Type": "application/json", "X-Upload-Content-Length": str(self._about["size"])}
        with self._endpoint.open("POST", self._path, headers, body) as answer:
            if answer.status == 412:
                return self._stored(answer)
            return self._endpoint.path_of(answer.expect(200, 201).header("location") or "")

    def _send_piece(self, session, start, data, check):
        """How many bytes the service has then; None once it has the object."""
        failed = []

        def send():
            if failed:
                # Nobody here knows how much of it arrived.
                known = self._continue(session, "bytes */*", b"")
                if known != start:
                    return known
            failed.append(True)
            last = start + len(data) - 1
            size = self._about["size"]
            after = self._continue(session, "bytes %d-%d/%d" % (start, last, size) if data else "bytes */%d" % size, data)
            if after is not None and after <= start:
                raise Away("nothing of it was taken")
            return after

        return patiently(send, check)

    def _continue(self, session, content_range, data):
        with self._endpoint.open("PUT", session, {"Content-Range": content_range}, data) as answer:
            if answer.status != 308:
                self._stored(answer)
                return None
            last = re.match(r"bytes=0-(\d+)\Z", answer.header("range") or "")
            return int(last.group(1)) + 1 if last else 0
