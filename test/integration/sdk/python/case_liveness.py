import os
import subprocess
import sys
import time

import goldfish
import goldfish.liveness as liveness
from stage import LIBRARY, StageCase

LONG_AGO = 1_000_000_000


class Liveness(StageCase):
    def touched(self):
        path = self.control / "heartbeat"
        return path.exists() and path.stat().st_mtime > LONG_AGO + 1

    def until(self, condition):
        deadline = time.monotonic() + 20
        while not condition():
            self.assertLess(time.monotonic(), deadline, "waited in vain")
            time.sleep(0.01)

    def test_heartbeat(self):
        """heartbeat() touches the file and keeps the message"""
        goldfish.heartbeat()
        self.assertTrue(self.touched())
        os.utime(self.control / "heartbeat", (LONG_AGO, LONG_AGO))
        goldfish.heartbeat("loading\nshard 3")
        self.assertTrue(self.touched())
        self.assertEqual((self.control / "heartbeat").read_text(), "loading shard 3\n")
        os.environ["GOLDFISH_CONTROL"] = str(self.root / "gone")
        self.refuses("The heartbeat '…", goldfish.heartbeat)

    def test_log_metric_is_a_sign_of_life(self):
        """log_metric touches the file, at most once a second"""
        liveness._last_touch = 0.0
        goldfish.log_metric("a", 1)
        self.assertTrue(self.touched())
        os.utime(self.control / "heartbeat", (LONG_AGO, LONG_AGO))
        goldfish.log_metric("a", 2)
        self.assertFalse(self.touched())

    def test_thread(self):
        """a stage that imports the library and then computes silently goes on giving signs of life"""
        program = (
            "import goldfish.liveness as l\n"
            "l.INTERVAL_SECONDS = 0.05\n"
            "l._thread = None\n"
            "l.start()\n"
            "while True: pass\n"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": str(LIBRARY), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
        )
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        for _ in range(3):
            self.until(self.touched)
            os.utime(self.control / "heartbeat", (LONG_AGO, LONG_AGO))
        self.assertLessEqual(liveness.INTERVAL_SECONDS, 20)

    def test_thread_goes_on(self):
        """the thread touches again and again, also when the file was taken away"""
        self.python(
            "import time, os, sys\n"
            "import goldfish.liveness as l\n"
            "path = os.environ['GOLDFISH_CONTROL'] + '/heartbeat'\n"
            "def wait():\n"
            "    end = time.monotonic() + 20\n"
            "    while not (os.path.exists(path) and os.stat(path).st_mtime > 1e9 + 1):\n"
            "        assert time.monotonic() < end\n"
            "        time.sleep(0.01)\n"
            "wait()\n"
            "l.INTERVAL_SECONDS = 0.02\n"
            "l._thread = None\n"
            "l.start()\n"
            "for _ in range(3):\n"
            "    os.utime(path, (1e9, 1e9)); wait()\n"
            "    os.unlink(path); wait()\n"
        )

    def test_no_thread_to_be_had(self):
        """where no thread can be started the library works all the same, and metrics are signs of life"""
        self.python(
            "import threading\n"
            "def refuse(thread): raise RuntimeError(\"can't start new thread\")\n"
            "threading.Thread.start = refuse\n"
            "import goldfish, os\n"
            "path = os.environ['GOLDFISH_CONTROL'] + '/heartbeat'\n"
            "os.unlink(path)\n"
            "goldfish.liveness._last_touch = 0.0\n"
            "goldfish.log_metric('a', 1)\n"
            "assert os.path.exists(path)\n"
        )

    def test_no_thread_outside(self):
        """outside of a run the import starts no thread and the program ends at once"""
        del os.environ["GOLDFISH_CONTROL"]
        done = self.python("import goldfish, threading; print(threading.active_count())")
        self.assertEqual(done.stdout, "1\n")

    def test_does_not_hold_the_program(self):
        """the thread does not keep a finished program alive, and even the shortest stage gave a sign of life"""
        self.assertEqual(self.python("import goldfish").returncode, 0)
        self.assertTrue(self.touched())
        self.assertEqual(self.python("import goldfish; raise SystemExit(3)", check=False).returncode, 3)

    def test_fork(self):
        """forked children log, save and end sanely while the parent's threads are busy"""
        self.stage(outputs={"f": "file"})
        done = self.python(
            "import goldfish, multiprocessing, os, threading\n"
            "busy = True\n"
            "def work():\n"
            "    while busy: goldfish.log_metric('parent', 1); goldfish.save_checkpoint('p', {'a': 1}, keep=2)\n"
            "threads = [threading.Thread(target=work) for _ in range(3)]\n"
            "[t.start() for t in threads]\n"
            "for number in range(10):\n"
            "    pid = os.fork()\n"
            "    if pid == 0:\n"
            "        goldfish.log_metric('child', number); goldfish.heartbeat('child')\n"
            "        goldfish.save_checkpoint('c', {'n': number})\n"
            "        goldfish.save_output('f', b'child')\n"
            "        os._exit(0 if threading.active_count() == 1 else 1)\n"
            "    assert os.waitpid(pid, 0)[1] == 0\n"
            "busy = False\n"
            "[t.join() for t in threads]\n"
            "print(goldfish.load_checkpoint(name='c'))\n"
        )
        self.assertEqual(done.stdout, "{'n': 9}\n")

    def test_should_stop(self):
        """should_stop() is true once the stop file is there"""
        self.assertIs(goldfish.should_stop(), False)
        (self.control / "stop").write_text("")
        self.assertIs(goldfish.should_stop(), True)

    def test_should_stop_listens(self):
        """a stage that asks should_stop() says that it watches, and so has the grace period before SIGTERM"""
        self.assertFalse((self.control / "listens").exists())
        goldfish.should_stop()
        self.assertTrue((self.control / "listens").exists())

    def test_should_stop_anywhere(self):
        """should_stop() answers also where it cannot say that it watches"""
        (self.control / "listens").mkdir()
        self.assertIs(goldfish.should_stop(), False)
