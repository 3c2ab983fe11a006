"""The bucket, through the JSON API of Cloud Storage. Keys are those of the project; the prefix is put before them here.

A write names what it replaces, or that it replaces nothing. One whose answer was lost is recognised by what is there.
"""

import base64
import collections
import hashlib
import json
import os
import re
import urllib.parse

from bootstrap import BLOCK_BYTES
from worker_files import sums
from worker_http import BUDGET_SECONDS, Away, Refused, patiently
from worker_upload import PIECE_BYTES, Upload

DOCUMENT_BYTES = 16 * 1024 * 1024
# Damaged on the way, most likely: what we send is right.
DAMAGED = (400,)
# A session that the service has forgotten is begun anew so often.
SESSIONS = 3
HEAD = "--%s\r\nContent-Type: application/json\r\n\r\n%s\r\n--%s\r\nContent-Type: application/octet-stream\r\n\r\n"

Found = collections.namedtuple("Found", "data generation")
# `md5` in base64; None where the service does not know it.
Stat = collections.namedtuple("Stat", "generation size md5")
UNCHANGED = object()


class Conflict(Exception):
    """Something else is there than the write was to replace."""


def nothing():
    """Of a call that nobody ends before its time."""


class Bucket:
    def __init__(self, endpoint, name, prefix):
        self._endpoint, self._name, self._prefix = endpoint, urllib.parse.quote(name, safe=""), prefix

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self, key, known=None, check=nothing, budget=BUDGET_SECONDS):
        """A Found; None where there is no such object; UNCHANGED where its generation is still `known`."""
        path = self._object(key, alt="media", **({"ifGenerationNotMatch": known} if known else {}))
        return patiently(lambda: self._read(path), check, budget)

    def _read(self, path):
        with self._endpoint.open("GET", path) as answer:
            if answer.status == 404:
                return None
            if answer.status == 304:
                return UNCHANGED
            answer.expect(200)
            data = answer.read(DOCUMENT_BYTES + 1)
            if len(data) > DOCUMENT_BYTES:
                raise Refused(413, "the object is too large for a document")
            said = re.search(r"md5=([^,\s]+)", answer.header("x-goog-hash") or "")
            if said and said.group(1) != md5_of(data):
                raise Away("the object was damaged on the way")
            return Found(data, answer.header("x-goog-generation"))

    def stat(self, key, check=nothing, budget=BUDGET_SECONDS):
        """None where there is no such object."""
        path = self._object(key)

        def look():
            with self._endpoint.open("GET", path) as answer:
                return None if answer.status == 404 else stat_of(answer.expect(200).json())

        return patiently(look, check, budget)

    def fetch(self, stored, path, check=nothing):
        """To a file that is not there yet: the object, if it is what `stored` (object, sha256, size) says.

        A connection that breaks is followed by another for the rest; the budget begins anew with whatever comes.
        Raises Away, and Refused where the object is not there, or is another one.
        """
        part = path + ".part"
        self._download(stored, part, check)
        with open(part, "rb") as file:
            size, digest, _md5 = sums(file, check)
        if size != stored["size"] or digest != stored["sha256"]:
            os.unlink(part)
            raise Refused(0, "the object %s is not what it should be" % stored["object"])
        os.rename(part, path)

    def _download(self, stored, path, check):
        url, size = self._object(stored["object"], alt="media"), int(stored["size"])
        with open(path, "wb") as file:
            while file.tell() < size:
                begun = file.tell()
                try:
                    patiently(lambda: self._download_rest(url, file, size, check), check)
                except Away:
                    if file.tell() == begun:
                        raise

    def _download_rest(self, url, file, size, check):
        at = file.tell()
        with self._endpoint.open("GET", url, {"Range": "bytes=%d-" % at} if at else {}) as answer:
            answer.expect(206 if at else 200)
            for block in iter(lambda: answer.read(BLOCK_BYTES), b""):
                check()
                file.write(block)
                if file.tell() > size:
                    raise Refused(0, "the object is larger than it should be")
        if file.tell() < size:
            raise Away("the object ended before its end")

    # --- writing ------------------------------------------------------------------------------------------------------

    def put(self, key, data, generation=None, check=nothing, budget=BUDGET_SECONDS):
        """The Stat of what is there then. `generation`: of what it replaces, "0" for nothing; None for whatever it is.

        Raises Conflict where something else is there, unless it is just this: then it was this write, or as good as.
        """
        try:
            return patiently(lambda: self._insert(key, data, generation), check, budget)
        except Conflict:
            found = self.stat(key, check)
            if found is None or found.size != len(data) or found.md5 != md5_of(data):
                raise
            return found

    def put_piece(self, key, data, check=nothing):
        """Made once. How many bytes of data it holds: fewer where an earlier try, whose answer was lost, had fewer."""
        try:
            return self.put(key, data, "0", check).size
        except Conflict:
            found = self.stat(key, check)
            if found is None or found.size > len(data) or found.md5 != md5_of(data[: found.size]):
                raise
            return found.size

    def put_file(self, key, file, check=nothing):
        """An open file that nobody writes to; else as put_made."""

        def copy(target):
            file.seek(0)
            for block in iter(lambda: file.read(BLOCK_BYTES), b""):
                target.write(block)

        return self.put_made(key, copy, check)

    def put_made(self, key, make, check=nothing):
        """What make(target) writes to it, of any length, made once: (size, SHA-256) of what is there then. Raises Conflict,
        and what make raises. Where the service has lost the beginning, make is called again, and writes the same.
        """
        for number in range(1, SESSIONS + 1):
            upload = Upload(self._endpoint, self._upload("resumable", key, "0"), check)
            try:
                make(upload)
                if not upload.begun:
                    self.put(key, bytes(upload.rest), "0", check)
                    return upload.sums[:2]
                upload.finish()
            except Refused as error:
                if error.status not in (404, 410) or number == SESSIONS:
                    raise
                continue
            size, digest, md5 = upload.sums
            found = self.stat(key, check)
            # What somebody else has made must be known to be the same.
            same = found is not None and found.md5 in ((md5,) if upload.refused else (None, md5))
            if same and found.size == size:
                return size, digest
            if upload.refused:
                raise Conflict("something else is there")
            if found is not None:
                # Damaged on the way.
                self.remove(key, found.generation, check)
        raise Away("what was stored is not what was sent")

    def remove(self, key, generation=None, check=nothing, budget=BUDGET_SECONDS):
        """Harmless where it is not there. `generation`: only as long as it is that one."""
        path = self._object(key, **({"ifGenerationMatch": generation} if generation else {}))
        patiently(lambda: self._remove(path), check, budget)

    def _remove(self, path):
        with self._endpoint.open("DELETE", path) as answer:
            answer.expect(200, 204, 404, 412)

    def _insert(self, key, data, generation):
        mark, md5 = os.urandom(16).hex(), md5_of(data)
        body = (HEAD % (mark, json.dumps({"md5Hash": md5}), mark)).encode() + data + ("\r\n--%s--\r\n" % mark).encode()
        headers = {"Content-Type": "multipart/related; boundary=%s" % mark}
        with self._endpoint.open("POST", self._upload("multipart", key, generation), headers, body) as answer:
            return stored(answer, len(data), md5)

    # --- addresses ----------------------------------------------------------------------------------------------------

    def _object(self, key, **query):
        return "/storage/v1/b/%s/o/%s%s" % (self._name, urllib.parse.quote(self._prefix + key, safe=""), text_of(query))

    def _upload(self, kind, key, generation):
        query = {"uploadType": kind, "name": self._prefix + key}
        if generation is not None:
            query["ifGenerationMatch"] = generation
        return "/upload/storage/v1/b/%s/o%s" % (self._name, text_of(query))


def stored(answer, size, md5):
    """What the service says that it has stored. The sum went with the request, so that it refuses damaged bytes."""
    if answer.status == 412:
        raise Conflict("something else is there")
    found = stat_of(answer.expect(200, 201, passing=DAMAGED).json())
    if found.size != size or found.md5 not in (None, md5):
        raise Away("what was stored is not what was sent")
    return found


def text_of(query):
    return "?" + urllib.parse.urlencode(query) if query else ""


def md5_of(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def stat_of(document):
    try:
        return Stat(str(document["generation"]), int(document["size"]), document.get("md5Hash"))
    except (KeyError, TypeError, ValueError) as error:
        raise Away("the answer makes no sense") from error
