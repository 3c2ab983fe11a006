"""Everything that has to be there before a program can start: folders, code, inputs, checkpoints, image, containers."""

import contextlib
import os

from bootstrap import Unusable, inner, open_to_all, unpack
from engine_client import EngineGone, EngineRefused
from worker_disks import hand_out_disks
from worker_engine import PullFailed
from worker_files import give, give_tree, remove_tree, write_whole
from worker_guard import Unguarded, guard_metadata, has_network
from worker_http import Away, Refused
from worker_places import ATTEMPT, CHECKPOINTS, CODE, INPUTS, JOB, PASSING
from wrapper_linux import errno_name

OUR_ERRORS = (Away, Refused, Unusable, PullFailed, EngineGone, EngineRefused, OSError)
UNGUARDED = (
    "The stage has a network, and its machine cannot keep it from the metadata server, and so from the account of the"
    " machine: %s. Its image must have iptables (docs/gce.md, step 7)."
)


class Failed(Exception):
    """What kept the job from being started: `step` for programs, the text for people."""

    def __init__(self, step, sentence, errno=None):
        super().__init__(sentence[:1000])
        self.step, self.errno = step, errno


@contextlib.contextmanager
def step(name, sentence):
    try:
        yield
    except OUR_ERRORS as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Failed(name, "%s: %s." % (sentence, why.rstrip(".")), errno_name(error)) from error


class Preparation:
    def __init__(self, job, bucket, engine, token, check):
        """token() gives the machine's token, for the registry; check() may raise to end everything here."""
        self._job, self._bucket, self._engine, self._token, self._check = job, bucket, engine, token, check

    def run(self):
        """Raises Failed."""
        with step("machine", "The job could not be prepared"):
            self._folders()
        # kill point: job/folders-made
        with step("code", "The code could not be fetched"):
            self._tree(self._job["code"], CODE)
            open_to_all(CODE)
        # kill point: job/code-fetched
        with step("input", "An input could not be fetched"):
            self._inputs()
        # kill point: job/inputs-fetched
        with step("checkpoint", "A checkpoint could not be fetched"):
            self._checkpoints()
        # kill point: job/checkpoints-fetched
        with step("machine", "The job could not be prepared"):
            self._files()
        # kill point: job/files-written
        self._guard()
        with step("image", "The image could not be pulled"):
            image = self._job["image"]
            self._engine.pull(image["reference"], self._token if image["login"] == "metadata" else None, self._check)
        # kill point: job/image-pulled
        for command in self._job["preflight"]:
            self._try(command)
        with step("container", "The container could not be made"):
            for container in self._job["containers"]:
                self._check()
                self._engine.create(container["name"], container["body"])
                # kill point: job/container-created

    def _folders(self):
        remove_tree(JOB)
        for folder in (JOB, ATTEMPT, PASSING, INPUTS, CHECKPOINTS):
            os.mkdir(folder, 0o700)
        hand_out_disks(self._job["user"])

    def _inputs(self):
        for item in self._job["inputs"]:
            target = os.path.join(INPUTS, inner(item["fileName"]))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if item["kind"] == "folder":
                self._tree(item, target)
            else:
                self._bucket.fetch(item, target, self._check)
        open_to_all(INPUTS)

    def _tree(self, stored, folder):
        """A folder comes as an archive."""
        archive = os.path.join(PASSING, "archive.tar")
        self._bucket.fetch(stored, archive, self._check)
        unpack(archive, folder, self._check)
        os.unlink(archive)

    def _checkpoints(self):
        for item in self._job["checkpoints"]:
            target = os.path.join(CHECKPOINTS, inner(item["path"]))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            self._bucket.fetch(item, target, self._check)
        give_tree(CHECKPOINTS, self._job["user"])

    def _files(self):
        for path in self._job["folders"]:
            folder = os.path.join(JOB, inner(path))
            os.makedirs(folder, exist_ok=True)
            give(folder, self._job["user"])
        for item in self._job["files"]:
            target = os.path.join(JOB, inner(item["path"]))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            stage = item["owner"] == "stage"
            write_whole(target, item["text"].encode(), 0o400 if stage else 0o600)
            if stage:
                give(target, self._job["user"])

    def _guard(self):
        """Before anything of a stage's runs with a network."""
        if not any(has_network(container["body"]) for container in self._job["containers"]):
            return
        try:
            guard_metadata()
        except Unguarded as error:
            raise Failed("machine", UNGUARDED % error) from error

    def _try(self, command):
        """In a container like that of rank 0, which is told no secrets."""
        container = self._job["containers"][0]
        body = dict(container["body"], Entrypoint=command[:1], Cmd=command[1:])
        body.update(OpenStdin=False, StdinOnce=False, AttachStdin=False)
        shown = " ".join(command)[:200]
        with step("preflight", "The check `%s` could not be run" % shown):
            code, output = self._engine.run(container["name"] + "-check", body, self._check)
        if code != 0:
            lines = output.decode("utf-8", "replace").strip().split("\n")
            said = ": %s" % lines[-1][:300].rstrip(".") if lines[-1] else ""
            raise Failed("preflight", "The check `%s` ended with exit code %d%s." % (shown, code, said))
