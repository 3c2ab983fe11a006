"""`job.json`: what is to be done. The form is jobSchema of src/backends/gce/job-document.ts; a test compares the two."""

import json
import re

from bootstrap import Unusable, inner

HASH = re.compile(r"[0-9a-f]{64}\Z")
IMAGE = re.compile(r"[^@]+@sha256:[0-9a-f]{64}\Z")


class Job:
    """One that was assigned, whether or not its document is of use."""

    def __init__(self, assigned, number):
        self.run_id, self.attempt, self.prefix = assigned.run_id, assigned.attempt, assigned.prefix
        self.number = number
        self.document = None

    def read(self, data):
        """Takes the document. Raises Unusable, which says why it is none for this machine."""
        try:
            document = json.loads(data.decode())
            if document["schema"] != 1:
                raise Unusable("it is of another version of Goldfish")
            check_document(document)
            same = document["runId"] == self.run_id and document["attempt"] == self.attempt
            if not same or document["prefix"] != self.prefix:
                raise Unusable("it is another job's")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unusable("it makes no sense: %s" % (error or type(error).__name__)) from error
        self.document = document

    def __getitem__(self, name):
        return self.document[name]

    @property
    def control_folders(self):
        """(its place below the prefix, its place on the machine), rank by rank."""
        ranks = [(int(rank["rank"]), str(rank["control"])) for rank in self.document["wrapper"]["ranks"]]
        return [("ranks/%d/control/" % rank if rank else "control/", control) for rank, control in ranks]

    @property
    def stop_grace(self):
        return float(self.document["wrapper"]["stopGraceSeconds"])


def check_document(document):
    """As far as a wrong form would lead anywhere but to a sentence later."""
    positive(document["limitSeconds"])
    positive(document["syncSeconds"])
    check_stored(document["code"])
    for item in document["files"]:
        inner(item["path"])
        require(isinstance(item["text"], str) and item["owner"] in ("stage", "worker"), "a file")
    for path in document["folders"]:
        inner(path)
    for item in document["inputs"]:
        check_stored(item)
        inner(item["fileName"])
        require(item["kind"] in ("file", "folder"), "an input")
    for item in document["checkpoints"]:
        check_stored(item)
        inner(item["path"])
    require(IMAGE.match(document["image"]["reference"]), "the image")
    require(document["image"]["login"] in ("metadata", "none"), "the image")
    require(all(type(document["user"][name]) is int and document["user"][name] > 0 for name in ("uid", "gid")), "the user")
    require(len(document["containers"]) > 0, "the containers")
    for container in document["containers"]:
        require(isinstance(container["name"], str) and isinstance(container["body"], dict), "a container")
    for command in document["preflight"]:
        require(len(command) > 0 and all(isinstance(word, str) for word in command), "a check")
    require(isinstance(document["secrets"], bool), "secrets")
    for item in document["outputs"]:
        inner(item["path"])
        require(item["kind"] in ("file", "folder"), "an output")
    for rank in document["wrapper"]["ranks"]:
        require(isinstance(rank["control"], str) and type(rank["rank"]) is int, "a rank")
    positive(document["wrapper"]["stopGraceSeconds"], zero=True)


def check_stored(item):
    require(isinstance(item["object"], str) and HASH.match(item["sha256"]), "an object")
    require(type(item["size"]) is int and item["size"] >= 0, "an object")


def positive(value, zero=False):
    require(isinstance(value, (int, float)) and (value > 0 or (zero and value == 0)), "a time")


def require(holds, what):
    if not holds:
        raise ValueError("%s is not as it should be" % what)
