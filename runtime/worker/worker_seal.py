"""Secrets that only this boot of this machine can read.

The key pair is made at each boot by the machine's own openssl; the private half never leaves memory: neither the disk,
nor an argument or the environment of a program, ever holds it or what it opens.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile

from bootstrap import say
from worker_files import write_whole
from worker_places import KEY_FOLDER

KEY_BITS = 3072
COMMAND_SECONDS = 60
# Before the content of each piece: what all have in common, its number and their count.
COMMON_BYTES, NUMBER_BYTES = 16, 2
MEMORY_PLACES = ("/run", "/dev/shm", "/tmp")
MEMORY_SYSTEMS = ("tmpfs", "ramfs")


class Damaged(Exception):
    """It is no sealed document, or not for us."""


class Seal:
    """`public_key` is None where there is no place that is memory, or no openssl: then no job with secrets comes here."""

    def __init__(self):
        self.public_key = self._key = None
        remove_earlier()
        memory = memory_place()
        if memory is None:
            say("no file system of this machine is memory: it takes no secrets")
            return
        folder = tempfile.mkdtemp(prefix="goldfish-key-", dir=memory)
        write_whole(KEY_FOLDER, folder.encode())
        key = os.path.join(folder, "key.pem")
        os.close(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            openssl(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:%d" % KEY_BITS, "-out", key])
            os.chmod(key, 0o600)
            self.public_key = openssl(["pkey", "-in", key, "-pubout"]).decode()
            self._key = key
        except (OSError, subprocess.SubprocessError) as error:
            say("no key could be made: %s: it takes no secrets" % type(error).__name__)

    def open(self, data):
        """The bytes that were sealed. Raises Damaged."""
        try:
            document = json.loads(data.decode())
            pieces = [base64.b64decode(piece, validate=True) for piece in document["pieces"]]
            if document["schema"] != 1 or not pieces:
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Damaged("it is no sealed document") from error
        return joined([self._decrypt(piece) for piece in pieces])

    def _decrypt(self, piece):
        options = ["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256"]
        try:
            return openssl(["pkeyutl", "-decrypt", "-inkey", self._key or os.devnull] + options, piece)
        except (OSError, subprocess.SubprocessError):
            # Not what it says: nothing of the content is to reach a log.
            raise Damaged("it was not sealed for this boot of this machine") from None


def joined(opened):
    """Raises Damaged unless these are all pieces of one document, in their order."""
    head = COMMON_BYTES + 2 * NUMBER_BYTES
    numbers = []
    for piece in opened:
        number, count = piece[COMMON_BYTES : COMMON_BYTES + NUMBER_BYTES], piece[COMMON_BYTES + NUMBER_BYTES : head]
        if len(piece) < head or piece[:COMMON_BYTES] != opened[0][:COMMON_BYTES]:
            raise Damaged("its pieces do not belong together")
        if int.from_bytes(count, "big") != len(opened):
            raise Damaged("it is not complete")
        numbers.append(int.from_bytes(number, "big"))
    if numbers[0] not in (0, 1) or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise Damaged("its pieces are not in their order")
    return b"".join(piece[head:] for piece in opened)


def openssl(arguments, data=b""):
    done = subprocess.run(
        ["openssl"] + arguments,
        input=data,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=COMMAND_SECONDS,
        check=True,
    )
    return done.stdout


def memory_place():
    """A folder whose file system is memory; the last mount over a place is the one that counts."""
    systems = {}
    with open("/proc/self/mounts") as file:
        for line in file:
            _device, place, system = line.split()[:3]
            systems[place] = system
    return next((place for place in MEMORY_PLACES if systems.get(place) in MEMORY_SYSTEMS), None)


def remove_earlier():
    """Of a worker program that ended without the machine."""
    try:
        with open(KEY_FOLDER) as file:
            folder = file.read()
    except OSError:
        return
    if os.path.basename(folder).startswith("goldfish-key-"):
        shutil.rmtree(folder, ignore_errors=True)
