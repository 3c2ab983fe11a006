"""One rank of an attempt: its program, its control folder, what it prints, how it is made to end.

A program is whatever stands behind these few members; process_program.py and container_program.py are the two kinds.

    start(out, err)  begins, printing to two descriptors it may keep; raises linux.StartError where it cannot, OSError
                     or RuntimeError where the machine has no process, descriptor or thread left. It need not have started on return; whatever happens later wakes the loop.
    started          whether it runs, or did
    ended            whether there is nothing more to wait for
    ending(asked)    its Ending, once it has ended; asked: we told it to stop
    term()           asks it to end; False where that is not possible yet
    kill()           ends it; may be repeated
    describe()       {groups, ...}: what a later process must know to clean up behind us
    release()        gives back what only this program needed
"""

import collections
import os

import wrapper_log as log

READ_BYTES = 128 * 1024
# A program that watches `stop` has had the whole grace period when TERM comes: this is left to it.
LAST_WORD_SECONDS = 1.0

# exit_code and signal: at most one is a value; none where it never started, or where nobody can know (lost).
# errno: the name of the system's error that kept it from starting, where there was one.
Ending = collections.namedtuple("Ending", "started exit_code signal oom lost error errno", defaults=(None,))


def not_started(error, errno=None):
    return Ending(False, None, None, False, False, error, errno)


def ended_well(ending):
    return ending.started and ending.exit_code == 0 and not ending.lost


class Rank:
    def __init__(self, number, control, program):
        self.number = number
        self.control = control
        self.program = program
        self.ending = None
        self.asked_to_stop = False
        self._streams = {}
        self._term_at = self._kill_at = self._grace = None

    def start(self, make_stream):
        """make_stream(letter) gives where the program's output goes."""
        writers = []
        try:
            for letter in "oe":
                reader, writer = os.pipe()
                os.set_blocking(reader, False)
                self._streams[reader] = make_stream(letter)
                writers.append(writer)
            self.program.start(*writers)
        finally:
            for writer in writers:
                os.close(writer)

    @property
    def living(self):
        return self.ending is None

    def note_end(self):
        """True when it has just been seen to have ended."""
        if self.ending is not None or not self.program.ended:
            return False
        self.ending = self.program.ending(self.asked_to_stop)
        return True

    # --- output ---------------------------------------------------------------------------------------------------

    def descriptors(self):
        return list(self._streams)

    def copy(self, descriptor):
        """One read. At the end of the stream it is let go."""
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return False
        if data:
            self._streams[descriptor].feed(data)
            return True
        self._streams.pop(descriptor).close()
        os.close(descriptor)
        return False

    def drain(self):
        """What the dead left in the pipes. A pipe still held by somebody is read empty once and let go."""
        for descriptor in self.descriptors():
            while self.copy(descriptor):
                pass
        for stream in self._streams.values():
            stream.close()

    # --- stopping -------------------------------------------------------------------------------------------------

    def stop(self, reason, grace, now):
        self.asked_to_stop = True
        self.control.say_stop(reason)
        # A program that watches `stop` gets the grace period before TERM as well.
        listens = self.control.program_listens()
        self._grace = grace
        self._term_at = now + (grace if listens else 0.0)
        self._kill_at = now + grace + (min(grace, LAST_WORD_SECONDS) if listens else 0.0)

    def hurry(self, grace, now):
        """A later request can only shorten the grace period; the same one again changes nothing."""
        if self._kill_at is not None and grace < self._grace:
            self._grace = grace
            self._kill_at = min(self._kill_at, now + grace)

    def press(self, now):
        """Does what is due."""
        if not self.living:
            return
        if self._kill_at is not None and now >= self._kill_at:
            self._term_at = None
            # Again every 100 ms until the program is seen dead: a fork may have raced with the first blow.
            self._kill_at = now + 0.1
            self.program.kill()
        elif self._term_at is not None and now >= self._term_at:
            self._term_at = None if self.program.term() else now + 0.01

    def due(self):
        """When press has something to do."""
        if not self.living:
            return []
        return [moment for moment in (self._term_at, self._kill_at) if moment is not None]
