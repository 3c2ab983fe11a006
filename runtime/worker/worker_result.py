"""Result documents: `exit.json` of a job, written last and once. The form is that of src/backends/attempt-files.ts.

Beside what the run wrapper says it holds `outputs`, those that are in the bucket (path, kind, object, sha256, size);
`problems`, those that cannot be sent as they are (path, message); and `failedStep`, where it was ours that failed.
"""

from wrapper_log import iso_time

STOPPED_EARLY = "It was stopped before its program started."
LATE = "It was not ready to start within the time of the whole attempt."
LOST_REBOOT = "The machine was started anew while it worked on this: how its program would have ended is not known."
LOST_LIFE = "The machine came to the end of its life: how the program would have ended is not known."
LOST_WRAPPER = "What supervises the program ended without a word: how the program ended is not known."

LOST_DEFECT = "The worker program failed: how the program ended is not known."


def result(job, **said):
    document = {
        "schema": 1,
        "runId": job.run_id,
        "attempt": job.attempt,
        "started": False,
        "exitCode": None,
        "signal": None,
        "stoppedBy": None,
        "oom": False,
        "rank": 0,
        "lost": False,
        "error": None,
        "errno": None,
        "startedAt": None,
        "endedAt": iso_time(),
        "maxRssBytes": None,
        "cpuSeconds": None,
        "logBytes": 0,
        "outputs": [],
        "problems": [],
        "failedStep": None,
    }
    document.update(said)
    return document


def lost(job, why, started_at=None):
    return result(job, lost=True, error=why, started=started_at is not None, startedAt=started_at)


def stopped_early(job, request):
    because = request.get("because") or {}
    error = because.get("message") or STOPPED_EARLY
    return result(job, stoppedBy=request["reason"], error=error, rank=because.get("rank") or 0)


def killed(job, note, started_at):
    """Of a run wrapper that did not carry out a stop: that it was stopped is known, and why."""
    because = note.get("because") or {}
    return result(
        job,
        started=True,
        startedAt=started_at,
        signal="SIGKILL",
        stoppedBy=note["reason"],
        rank=because.get("rank") or 0,
        error=because.get("message"),
        endedAt=note["killedAt"],
    )


def ended_well(document):
    return document["started"] and document["exitCode"] == 0 and not document["lost"] and document["stoppedBy"] is None
