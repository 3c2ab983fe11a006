import contextlib
import io
import json
import math
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest.mock

import goldfish
from stage import LIBRARY, StageCase, needs


class Checkpoints(StageCase):
    def folders(self):
        return sorted(path.name for path in self.checkpoints.iterdir())

    def load_with_warnings(self, **named):
        with contextlib.redirect_stderr(io.StringIO()) as said:
            value = goldfish.load_checkpoint(**named)
        return value, said.getvalue()

    def test_nothing_yet(self):
        """load_checkpoint is None where nothing was saved"""
        self.assertIsNone(goldfish.load_checkpoint())
        self.assertEqual(goldfish.list_checkpoints(), [])
        shutil.rmtree(self.checkpoints)
        self.assertIsNone(goldfish.load_checkpoint())

    def test_objects(self):
        """data comes back as it was saved: JSON, bytes; best_loss may be inf"""
        for value in (
            {"epoch": 3, "w": [0.1, 2], "s": "ü", "none": None},
            [1, [2]],
            5,
            0.1,
            True,
            None,
            b"\0\xff",
            b"",
            {},
        ):
            goldfish.save_checkpoint("state", value)
            self.assertEqual(goldfish.load_checkpoint(), value)
        goldfish.save_checkpoint("state", {"best": math.inf, "loss": math.nan})
        self.assertEqual(goldfish.load_checkpoint()["best"], math.inf)
        self.assertTrue(math.isnan(goldfish.load_checkpoint()["loss"]))

    def test_paths(self):
        """files and folders come back as the path of a copy"""
        source = self.root / "model ü.pt"
        source.write_bytes(b"weights")
        goldfish.save_checkpoint("model", source)
        source.write_bytes(b"later")
        loaded = goldfish.load_checkpoint()
        self.assertEqual((loaded.name, loaded.read_bytes()), ("model ü.pt", b"weights"))
        folder = self.root / "state"
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / "a").write_text("a")
        (folder / "manifest.json").write_text("mine")
        goldfish.save_checkpoint("model", str(folder))
        shutil.rmtree(folder)
        self.assertEqual((goldfish.load_checkpoint() / "sub" / "a").read_text(), "a")
        (self.root / "manifest.json").write_text("mine")
        goldfish.save_checkpoint("model", self.root / "manifest.json")
        self.assertEqual(goldfish.load_checkpoint().read_text(), "mine")

    @needs("numpy")
    def test_arrays(self):
        """an array and a dict of arrays come back as such"""
        import numpy

        goldfish.save_checkpoint("w", numpy.eye(2, dtype="float32"))
        self.assertEqual(goldfish.load_checkpoint().dtype, numpy.float32)
        goldfish.save_checkpoint("w", {"a": numpy.arange(3), "b": numpy.zeros(0)})
        self.assertEqual(sorted(goldfish.load_checkpoint()), ["a", "b"])
        self.refuses(
            "Checkpoint w: $.w is an array inside other data: save w.tolist(), a dict of arrays alone, or a file.",
            goldfish.save_checkpoint, "w", {"w": numpy.eye(2), "epoch": 1},
        )  # fmt: skip
        goldfish.save_checkpoint("w", {"loss": numpy.float32(0.5)})
        self.assertEqual(goldfish.load_checkpoint(), {"loss": 0.5})

    def test_refusals(self):
        """what would come back as something else is refused: nothing is pickled silently"""
        goldfish.save_checkpoint("state", {"epoch": 1})
        for value, message in (
            (object(), "$ is a object, which JSON does not have."),
            ({"f": print}, "$.f is a builtin_function_or_method, which JSON does not have."),
            ({1: "a"}, "a key of $ is 1; keys must be text."),
            ({"s": {1}}, "$.s is a set, which JSON does not have; sort it into a list."),
            (
                "no-such-file.pt",
                "there is no file or folder 'no-such-file.pt'; to save text, put it into a dict.",
            ),
            (pathlib.Path("no-such-file.pt"), "there is no file or folder 'no-such-file.pt'."),
        ):
            with self.subTest(message):
                self.refuses("Checkpoint state: " + message, goldfish.save_checkpoint, "state", value)
        for name in ("", "../x", "a/b", ".a", "x" * 65, None, "a b"):
            self.refuses("A checkpoint's name is 1 to 64 letters,…", goldfish.save_checkpoint, name, {})
        self.refuses(
            "keep must be a whole number of at least 1, not 0.", goldfish.save_checkpoint, "a", {}, keep=0
        )
        for step in (math.nan, math.inf):
            self.refuses(
                "The step must be a finite number, not %r." % step, goldfish.save_checkpoint, "a", {}, step
            )
        deep = []
        for _ in range(100000):
            deep = [deep]
        self.refuses(
            "Checkpoint state: the value is nested too deeply.", goldfish.save_checkpoint, "state", deep
        )
        self.assertEqual(goldfish.load_checkpoint(), {"epoch": 1})
        self.assertEqual(self.folders(), ["00000001-state"])

    def test_newest_of_all_attempts(self):
        """the newest is the one saved last, over all attempts, whatever its step or name"""
        for step in range(12):
            goldfish.save_checkpoint("state", {"step": step}, step=step)
        self.stage(attempt=2)
        self.assertEqual(goldfish.load_checkpoint(), {"step": 11})
        goldfish.save_checkpoint("best", {"step": 3}, step=3)
        self.assertEqual(goldfish.load_checkpoint(), {"step": 3})
        self.assertEqual(goldfish.load_checkpoint(name="state"), {"step": 11})
        self.assertIsNone(goldfish.load_checkpoint(name="other"))
        listed = goldfish.list_checkpoints()
        self.assertEqual([(entry["step"], entry["attempt"]) for entry in listed[-2:]], [(11, 1), (3, 2)])

    def test_keep(self):
        """keep removes older ones of that name only, after the new one is safe"""
        goldfish.save_checkpoint("best", {"n": 0})
        for number in range(5):
            goldfish.save_checkpoint("state", {"n": number}, keep=2)
        self.assertEqual(self.folders(), ["00000001-best", "00000005-state", "00000006-state"])

    def test_damaged(self):
        """a damaged newest checkpoint is named, and the one before it is taken"""
        for number in range(4):
            goldfish.save_checkpoint("state", {"n": number})
        (self.checkpoints / "00000004-state" / "data.json").write_text('{"n": 9}\n')
        value, said = self.load_with_warnings()
        self.assertEqual(value, {"n": 2})
        self.assertEqual(
            said,
            "goldfish: checkpoint 00000004-state is damaged (data.json has changed); trying the one before it\n",
        )
        (self.checkpoints / "00000003-state" / "data.json").unlink()
        (self.checkpoints / "00000002-state" / "manifest.json").write_text("{")
        self.assertEqual(self.load_with_warnings()[0], {"n": 0})
        (self.checkpoints / "00000001-state" / "manifest.json").write_text('{"files": [3], "data": "x"}')
        self.assertIsNone(self.load_with_warnings()[0])
        goldfish.save_checkpoint("state", {"n": 5})
        self.assertEqual(self.load_with_warnings(), ({"n": 5}, ""))

    def test_other_runs(self):
        """checkpoints of another run are there where the call asked for them, else refused"""
        goldfish.save_checkpoint("state", {"n": 1})
        self.assertEqual(goldfish.load_checkpoint(run_id="stage-0123456789ab"), {"n": 1})
        self.refuses(
            "This run was not given the checkpoints of 'stage-ffff': there are none.",
            goldfish.load_checkpoint,
            "stage-ffff",
        )
        other = self.checkpoints / "from" / "stage-ffffffffffff"
        other.mkdir(parents=True)
        os.rename(self.checkpoints / "00000001-state", other / "00000001-state")
        self.assertEqual(goldfish.load_checkpoint("stage-ffffffffffff"), {"n": 1})
        self.assertIsNone(goldfish.load_checkpoint())
        self.refuses(
            "This run was not given the checkpoints of '../..': …", goldfish.load_checkpoint, "../.."
        )

    def test_killed_while_saving(self):
        """killed at any moment while saving, a whole checkpoint is found, and the next attempt tidies the rest"""
        program = (
            "import goldfish, sys\n"
            "n = 0\n"
            "while True:\n"
            "    goldfish.save_checkpoint('state', {'n': n, 'filler': 'x' * 200000}, step=n, keep=3)\n"
            "    sys.stdout.write('%d\\n' % n); sys.stdout.flush(); n += 1\n"
        )
        for attempt in range(1, 7):
            self.stage(attempt=attempt)
            child = subprocess.Popen(
                [sys.executable, "-c", program],
                env={**os.environ, "PYTHONPATH": str(LIBRARY), "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            self.addCleanup(child.wait)
            self.addCleanup(child.kill)
            said = -1
            for _ in range(3):
                said = int(child.stdout.readline())
            # Somewhere inside one of the next saves.
            end = time.monotonic() + 0.001 * attempt
            while time.monotonic() < end:
                pass
            child.send_signal(signal.SIGKILL)
            said = max([said] + [int(line) for line in child.stdout.read().split("\n") if line])
            child.stdout.close()
            child.wait()
            value, warnings = self.load_with_warnings()
            self.assertEqual(warnings, "")
            self.assertGreaterEqual(value["n"], said, "what save_checkpoint returned from is there")
        self.stage(attempt=99)
        goldfish.save_checkpoint("state", {"n": 0})
        self.assertEqual([name for name in self.folders() if name.startswith(".")], [])

    def test_durable_before_it_returns(self):
        """data, manifest and folder are on the disk before the checkpoint gets its name"""
        import goldfish.checkpoints as checkpoints

        events = []
        kept = os.fsync, os.rename
        self.addCleanup(lambda: (setattr(os, "fsync", kept[0]), setattr(os, "rename", kept[1])))
        name = lambda handle: os.path.basename(os.readlink("/proc/self/fd/%d" % handle))  # noqa: E731
        os.fsync = lambda handle: (events.append("sync " + name(handle)), kept[0](handle))
        os.rename = lambda source, target: (
            events.append("rename " + os.path.basename(target)),
            kept[1](source, target),
        )
        checkpoints.save_checkpoint("state", {"n": 1})
        at = events.index("rename 00000001-state")
        before = [event.split("-")[0] for event in events[:at]]
        self.assertEqual(sorted(before[:2]), ["sync data.json", "sync manifest.json"])
        self.assertEqual(before[2:], ["sync .saving"])
        self.assertEqual(events[at + 1 :], ["sync checkpoints"])

    def save_beside(self, **named):
        """Saves in a thread, on a rented machine; waits until the checkpoint is on the disk and gives the thread."""
        os.environ["GOLDFISH_KEPT"] = "wait"
        thread = threading.Thread(target=goldfish.save_checkpoint, args=("state", {"n": 2}), kwargs=named, daemon=True)
        thread.start()
        end = time.monotonic() + 20
        while not (self.checkpoints / "00000002-state").exists() and time.monotonic() < end:
            time.sleep(0.005)
        return thread

    def test_kept(self):
        """on a rented machine it is saved when the bucket has it, and older ones are removed only then"""
        goldfish.save_checkpoint("state", {"n": 1})
        (self.checkpoints / ".kept-00000001-state").touch()
        thread = self.save_beside(keep=1)
        thread.join(0.2)
        self.assertTrue(thread.is_alive())
        self.assertEqual(self.folders(), [".kept-00000001-state", "00000001-state", "00000002-state"])
        (self.checkpoints / ".kept-00000002-state").touch()
        thread.join(20)
        self.assertFalse(thread.is_alive())
        self.assertEqual(self.folders(), [".kept-00000002-state", "00000002-state"])

    def test_kept_for_nobody(self):
        """one that was removed for a newer one is not waited for"""
        goldfish.save_checkpoint("state", {"n": 1})
        thread = self.save_beside()
        shutil.rmtree(self.checkpoints / "00000002-state")
        thread.join(20)
        self.assertFalse(thread.is_alive())

    def test_not_kept(self):
        """the wait for the bucket has an end, and one that is sooner where the run is to stop"""
        import goldfish.kept as kept

        os.environ["GOLDFISH_KEPT"] = "wait"
        for name, seconds, when in (
            ("PATIENCE_SECONDS", 1.0, "within 1 seconds"),
            ("STOP_SECONDS", 0.1, "before the run was to stop"),
        ):
            with unittest.mock.patch.object(kept, name, seconds):
                self.refuses(
                    "Checkpoint state did not reach the bucket %s: it is on this machine only, which goes on trying." % when,
                    goldfish.save_checkpoint, "state", {"n": 1}, keep=1,
                )  # fmt: skip
            (self.control / "stop").touch()
        # What is not safe yet takes the place of nothing.
        self.assertEqual(self.folders(), ["00000001-state", "00000002-state"])
        self.assertEqual(goldfish.load_checkpoint(), {"n": 1})

    def test_full_disk(self):
        """a checkpoint that cannot be written says why and leaves the earlier ones"""
        goldfish.save_checkpoint("state", {"n": 1})
        done = self.python(
            "import goldfish, resource, signal\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
            "try: goldfish.save_checkpoint('state', {'n': 'x' * 10000})\n"
            "except goldfish.GoldfishError as error: print(error)\n"
        )
        self.assertIn("Checkpoint state cannot be saved: File too large.", done.stdout)
        self.assertEqual(self.folders(), ["00000001-state"])

    def test_two_processes(self):
        """two processes saving at once each keep all of theirs"""
        program = "import goldfish, sys\nfor n in range(30): goldfish.save_checkpoint(sys.argv[1], {'n': n})"
        children = [
            subprocess.Popen(
                [sys.executable, "-c", program, name],
                env={**os.environ, "PYTHONPATH": str(LIBRARY), "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.DEVNULL,
            )
            for name in ("same", "same", "other")
        ]
        self.assertEqual([child.wait(timeout=60) for child in children], [0, 0, 0])
        self.assertEqual(len(self.folders()), 90)
        self.assertEqual(len(goldfish.list_checkpoints()), 90)
        manifest = json.loads((self.checkpoints / self.folders()[-1] / "manifest.json").read_text())
        self.assertEqual((manifest["run_id"], manifest["attempt"]), ("stage-0123456789ab", 1))
