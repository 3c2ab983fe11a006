"""A program that is a container somebody created: it is started, listened to, stopped, and asked how it ended.

A thread lives the container's life, so that an engine that does not answer keeps nobody else waiting; it hands the
output over through the same pipes a process would write to. The engine may go away: it is asked again until it answers
or the time is over. What nobody can know then is said to be unknown (`lost`); no exit code is ever made up.
"""

import json
import os
import signal
import socket
import threading
import time

import wrapper_linux as linux
from container_stream import FrameReader, InitRecords
from engine_client import Engine, EngineGone, EngineRefused, Pause
from process_program import read_status, signal_name
from wrapper_rank import Ending, not_started

READ_BYTES = 128 * 1024
# A silent connection is not trusted for longer: the engine is asked whether the container still runs.
SILENCE_SECONDS = 30.0
# The same once it is to end: a container that ended while the connection was made does not close it.
STOPPING_SILENCE_SECONDS = 2.0
# How long after the first KILL an engine that does not answer is waited for.
GIVE_UP_SECONDS = 10.0
# A connection that ended although the container runs is made anew after so long.
RECONNECT_SECONDS = 1.0
# Once the engine answers again, how long TERM is held back until somebody listens to what the program says to it.
LISTEN_FIRST_SECONDS = 3.0
# The engine hears of a kill for memory by another way than of the end, and at times a moment after it.
MEMORY_WORD_SECONDS = 1.0
# How often one that waits for the other containers of its attempt looks whether it is to stop.
LINE_UP_SECONDS = 0.1
STDERR_FRAMES = (2, 3)

STOPPED_EARLY = "It was stopped before its program started."
NEVER_BEGAN = "The container ended before its program started; the log says why."
NEVER_HANDED = "The container engine went away while the container was being started; its program did not start."
KILLED_OUTSIDE = "The container was ended from outside: how its program would have ended is not known."
ENGINE_DIED = "The container engine went away and the container ended meanwhile: how is not known."
GONE = "The container is no longer there: how its program ended is not known."
NO_ANSWER = "The container engine did not answer any more: how the program ended is not known."
LINES_MAY_MISS = b"[goldfish] The connection to the container engine was lost; lines may be missing here.\n"


class LineUp:
    """The containers of one attempt. They start in order, for the later ones share the network of the first; and no
    program begins before all containers run, for one that ends at once would take that network with it.
    """

    def __init__(self):
        self._members = self._started = 0
        self._change = threading.Condition()

    def join(self):
        """The member's number."""
        self._members += 1
        return self._members - 1

    def note_start(self):
        with self._change:
            self._started += 1
            self._change.notify_all()

    def wait(self, stopped, before=None):
        """Until all containers before that number run, or all there are. False where stopped() is true first."""
        wanted = self._members if before is None else before
        with self._change:
            while self._started < wanted and not stopped():
                self._change.wait(LINE_UP_SECONDS)
            return self._started >= wanted


class ContainerProgram:
    def __init__(self, spec, secrets, wake, line_up):
        """wake() makes the loop look again; it is called from other threads."""
        self._line_up = line_up
        self._number = line_up.join()
        self._engine = Engine(spec["engine"])
        self._container = str(spec["container"])
        self._init = InitRecords() if spec["init"] else None
        self._secrets = secrets
        self._wake = wake
        self._out = self._err = self._ending = self._give_up_at = None
        self._running = self._stopping = False
        # The engine went away and nobody has listened since: what happened meanwhile is hearsay.
        self._unseen = False
        # Whether somebody listens, and otherwise since when the engine answers all the same.
        self._listening, self._answered_at = False, None
        # Whether our first process was told what it waits for.
        self._handed = False
        self._err_whole = True
        # TERM or KILL: what is to be sent to it, by a second thread.
        self._wanted = None
        self._look = threading.Condition()

    # --- what the loop sees; see wrapper_rank.py ------------------------------------------------------------------

    def start(self, out, err):
        self._out, self._err = os.dup(out), os.dup(err)
        threading.Thread(target=self._live, daemon=True).start()

    @property
    def started(self):
        return self._running

    @property
    def ended(self):
        return self._ending is not None or self._given_up()

    def ending(self, _asked):
        return self._ending or lost(self._running, NO_ANSWER)

    def term(self):
        """False until the program is there: process 1 of a container ignores what it has no handler for."""
        self._stopping = True
        if not self._running:
            return False
        self._press("SIGTERM")
        return True

    def kill(self):
        self._stopping = True
        if self._give_up_at is None:
            self._give_up_at = time.monotonic() + GIVE_UP_SECONDS
        self._press("SIGKILL")

    def describe(self):
        return {"container": self._container, "groups": []}

    def release(self):
        """Nothing: whoever created the container removes it."""

    # --- the thread that lives its life -----------------------------------------------------------------------------

    def _live(self):
        ending = lost(True, "The run wrapper failed.")
        try:
            ending = self._life()
        except OSError:
            pass  # nobody reads our pipes any more: the loop has given up
        finally:
            os.close(self._out)
            os.close(self._err)
            self._ending = ending
            with self._look:
                self._look.notify_all()
            self._wake()

    def _life(self):
        stream, refusal = self._begin()
        if refusal is not None:
            return refusal
        while True:
            if stream is not None:
                self._listen(stream)
            state = self._ask_when_over(stream is not None)
            if state is None:
                return lost(self._running, NO_ANSWER)
            if state == "gone":
                return lost(self._running, GONE)
            if not state.running:
                return self._judge(state)
            stream = self._attach_again()

    def _begin(self):
        """(its stream, None), or (None, why it did not start). (None, None): it runs, but nobody listened."""
        pause = Pause()
        self._line_up.wait(self._is_stopping, before=self._number)
        while not self._stopping:
            try:
                if self._unseen and self._engine.inspect(self._container).began:
                    # Our start was carried out and the answer to it was lost.
                    self._line_up.note_start()
                    self._runs()
                    return None, None
                stream = self._engine.attach(self._container, stdin=self._init is not None)
                # kill point: container/attached
                if self._start_attached(stream):
                    self._unseen = False
                    return stream, None
            except EngineRefused as error:
                return None, not_started("%s." % error.message.rstrip("."))
            except EngineGone:
                self._unseen = True
                pause.rest(self._look)
        return None, not_started(STOPPED_EARLY)

    def _is_stopping(self):
        return self._stopping

    def _start_attached(self, stream):
        """False where it was stopped while it waited for the other containers; its own has ended then."""
        try:
            self._engine.start(self._container)
        except (EngineRefused, EngineGone):
            stream.close()
            raise
        # kill point: container/started
        self._line_up.note_start()
        if self._init is None:
            self._runs()
            return True
        if not self._line_up.wait(self._is_stopping):
            stream.close()
            self._send("SIGKILL")
            return False
        self._handed = True
        line = json.dumps({"nonce": self._init.nonce, "secrets": self._secrets}).encode() + b"\n"
        try:
            stream.sendall(line)
            stream.shutdown(socket.SHUT_WR)
            # kill point: container/secrets-handed
        except OSError:
            pass  # it has ended already, or the engine has: whoever listens next sees which
        return True

    def _runs(self):
        if not self._running:
            self._running = True
            self._wake()

    def _listen(self, stream):
        self._listening, self._answered_at = True, None
        with self._look:
            self._look.notify_all()
        try:
            self._copy(stream)
        finally:
            self._listening = False

    def _copy(self, stream):
        """Until the connection ends, or is silent and the container over."""
        frames, silent = FrameReader(), 0.0
        stream.settimeout(STOPPING_SILENCE_SECONDS)
        with stream:
            while True:
                try:
                    data = stream.recv(READ_BYTES)
                    parts, silent = frames.feed(data), 0.0
                except socket.timeout:
                    silent += STOPPING_SILENCE_SECONDS
                    if self._wanted is None and silent < SILENCE_SECONDS:
                        continue
                    if self._is_over():
                        return
                    silent = 0.0
                    continue
                except (OSError, ValueError):
                    return
                if not data:
                    return
                for number, text in parts:
                    self._print(number in STDERR_FRAMES, text)

    def _print(self, to_err, text):
        if not to_err and self._init is not None:
            text = self._init.filter(text)
            if "started" in self._init.said:
                self._runs()
        if to_err and text:
            self._err_whole = text.endswith(b"\n")
        write_all(self._err if to_err else self._out, text)

    def _is_over(self):
        try:
            return not self._engine.inspect(self._container).running
        except (EngineGone, EngineRefused):
            return True

    def _ask_when_over(self, had_stream):
        """The state once it has ended, or runs on without being heard; "gone"; None where nobody answers in time."""
        pause, away = Pause(), False
        limit = time.monotonic() + (RECONNECT_SECONDS if had_stream else 0.0)
        while not self._given_up():
            try:
                state = self._engine.inspect(self._container)
                self._answered_at = self._answered_at or time.monotonic()
                # The stream ends a moment before the state says so.
                if not state.running or away or time.monotonic() >= limit:
                    return state
            except EngineRefused as error:
                if error.status == 404:
                    return "gone"
                away = True
            except EngineGone:
                away, self._answered_at = True, None
            self._unseen = self._unseen or away
            pause.rest(self._look)
        return None

    def _attach_again(self):
        """None where that fails: the state is asked again."""
        try:
            stream = self._engine.attach(self._container, stdin=False)
        except (EngineGone, EngineRefused):
            Pause(RECONNECT_SECONDS).rest(self._look)
            return None
        # If our first process has said that the program runs, nobody heard it.
        self._runs()
        self._unseen = False
        self._print(True, (b"" if self._err_whole else b"\n") + LINES_MAY_MISS)
        return stream

    # --- how it ended -----------------------------------------------------------------------------------------------

    def _judge(self, state):
        if self._init is not None:
            write_all(self._out, self._init.rest())
            return self._judge_init(self._with_word_of_memory(state))
        if not state.began:
            return not_started(NEVER_BEGAN)
        if self._unseen:
            return lost(True, ENGINE_DIED)
        state = self._with_word_of_memory(state)
        # Without a first process of ours the engine's number is all there is.
        number = state.exit_code - 128
        code, name = (None, signal_name(number)) if 0 < number < signal.NSIG else (state.exit_code, None)
        return Ending(True, code, name, state.oom and code != 0, False, None)

    def _with_word_of_memory(self, state):
        """Where it was killed, and not by us."""
        pause, limit = Pause(), time.monotonic() + MEMORY_WORD_SECONDS
        said = self._init.said if self._init is not None else {}
        status = said.get("status")
        killed = state.exit_code == 128 + signal.SIGKILL if status is None else read_status(status)[1] == "SIGKILL"
        if killed and said.get("oom"):
            return state._replace(oom=True)
        while killed and not state.oom and self._wanted != "SIGKILL" and time.monotonic() < limit:
            pause.rest(self._look)
            try:
                state = self._engine.inspect(self._container)
            except (EngineGone, EngineRefused):
                break
        return state

    def _judge_init(self, state):
        said = self._init.said
        if "errno" in said:
            error = OSError(said["errno"], os.strerror(said["errno"]))
            sentence = linux.start_sentence(said["program"], error, said["there"])
            return not_started(sentence, linux.errno_name(error))
        if "status" in said:
            code, name = read_status(said["status"])
            if said["terminated"] and self._wanted is None and code != 0:
                return lost(True, KILLED_OUTSIDE)._replace(exit_code=code, signal=name)
            return Ending(True, code, name, state.oom and code != 0, False, None)
        if not self._handed:
            return lost(False, NEVER_HANDED)
        if self._wanted == "SIGKILL" or state.oom:
            return Ending(True, None, "SIGKILL", state.oom, False, None)
        if self._unseen:
            return lost(self._running, ENGINE_DIED)
        # Killed before it could say that the program runs: perhaps that does.
        killed = state.exit_code == 128 + signal.SIGKILL
        return lost(True, KILLED_OUTSIDE) if said or killed else not_started(NEVER_BEGAN)

    # --- the thread that stops it -----------------------------------------------------------------------------------

    def _press(self, wanted):
        with self._look:
            first = self._wanted is None
            if wanted != self._wanted:
                self._wanted = wanted
                self._look.notify_all()
        if first:
            threading.Thread(target=self._stop, daemon=True).start()

    def _stop(self):
        """TERM until it is delivered, KILL until it has ended."""
        delivered = None
        while not self.ended:
            wanted = self._wanted
            due = wanted == "SIGKILL" or (wanted != delivered and not self._is_to_be_heard_first())
            if due and self._send(wanted):
                delivered = wanted
            with self._look:
                if self._wanted == wanted and self._ending is None:
                    self._look.wait(1.0)

    def _is_to_be_heard_first(self):
        """How it ends is said once, to whoever listens: after the engine was away nobody may."""
        if self._listening:
            return False
        answered_at = self._answered_at
        return answered_at is None or time.monotonic() - answered_at < LISTEN_FIRST_SECONDS

    def _send(self, name):
        try:
            self._engine.kill(self._container, name)
            return True
        except EngineRefused:
            return True  # it does not run any more
        except EngineGone:
            return False

    def _given_up(self):
        return self._give_up_at is not None and time.monotonic() >= self._give_up_at


def lost(started, why):
    return Ending(started, None, None, False, True, why)


def write_all(descriptor, data):
    while data:
        data = data[os.write(descriptor, data) :]
