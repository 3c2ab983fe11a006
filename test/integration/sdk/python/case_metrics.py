import decimal
import fractions
import json
import math
import os
import re
import subprocess
import sys
import threading

import goldfish
from stage import LIBRARY, StageCase, needs


class Metrics(StageCase):
    def lines(self):
        path = self.control / "metrics.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def logged(self):
        return [{key: value for key, value in line.items() if key != "time"} for line in self.lines()]

    def test_log_metric(self):
        """log_metric appends one JSON line with name, value, step and time"""
        goldfish.log_metric("loss", 0.25, step=3)
        goldfish.log_metric("train/accuracy ü", 1)
        goldfish.log_metric("ok", True, 2.5)
        self.assertEqual(
            self.logged(),
            [
                {"name": "loss", "value": 0.25, "step": 3},
                {"name": "train/accuracy ü", "value": 1},
                {"name": "ok", "value": 1, "step": 2.5},
            ],
        )
        self.assertTrue(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", self.lines()[0]["time"]))

    def test_special_values(self):
        """NaN and infinities are logged as strings, large whole numbers as the nearest float"""
        goldfish.log_metrics(
            {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 2**53, "e": 2**60 + 1, "f": -0.0}, step=1
        )
        self.assertEqual(
            [line["value"] for line in self.lines()],
            ["NaN", "Infinity", "-Infinity", 2**53, float(2**60), 0.0],
        )
        self.assertEqual({line["step"] for line in self.lines()}, {1})

    def test_number_types(self):
        """Decimal and Fraction are numbers too"""
        goldfish.log_metrics(
            {"a": decimal.Decimal("0.5"), "b": fractions.Fraction(1, 4), "c": decimal.Decimal("NaN")}
        )
        self.assertEqual([line["value"] for line in self.lines()], [0.5, 0.25, "NaN"])

    @needs("numpy")
    def test_numpy_numbers(self):
        """numpy numbers and arrays of one element are numbers"""
        import numpy

        goldfish.log_metric("a", numpy.float32(0.5), step=numpy.int64(7))
        goldfish.log_metric("b", numpy.array([[3]]))
        goldfish.log_metric("c", numpy.float64("nan"))
        goldfish.log_metric("d", numpy.bool_(True))
        self.assertEqual([line["value"] for line in self.lines()], [0.5, 3, "NaN", 1])
        self.assertEqual(self.lines()[0]["step"], 7)
        self.refuses(
            "Metric e must be one number, not an array of several.", goldfish.log_metric, "e", numpy.arange(2)
        )

    def test_refusals(self):
        """what is no number or no name is refused, and of a group nothing is logged"""
        for value in ("0.5", None, [1], {}, 1j, 10**400, b"1"):
            with self.subTest(value=str(value)[:20]):
                self.refuses("Metric a must be a number, not …", goldfish.log_metric, "a", value)
        for name in ("", "  ", "a\nb", "x" * 129, "🐧" * 65, "\udcff", None, 3, "a\0"):
            self.refuses(
                "A metric's name is 1 to 128 printable characters, not …", goldfish.log_metric, name, 1
            )
        for step in (math.nan, math.inf):
            self.refuses("The step must be a finite number, not …", goldfish.log_metric, "a", 1, step)
        self.refuses("The step must be a number, not 'one'.", goldfish.log_metric, "a", 1, "one")
        self.refuses("Metric b must be a number, not 'x'.", goldfish.log_metrics, {"a": 1, "b": "x"})
        self.refuses("log_metrics takes a dict of numbers by name, not 3.", goldfish.log_metrics, 3)
        self.assertEqual(self.lines(), [])

    def test_progress(self):
        """progress is a number from 0 to 1 with a message"""
        goldfish.progress(0.5, "epoch 1 of 2")
        goldfish.progress(7)
        goldfish.progress(-1, "x" * 5000)
        self.assertEqual(
            self.logged()[:2],
            [{"progress": 0.5, "message": "epoch 1 of 2"}, {"progress": 1.0, "message": ""}],
        )
        self.assertEqual((self.logged()[2]["progress"], len(self.logged()[2]["message"])), (0.0, 200))
        self.refuses("The fraction must be a finite number, not nan.", goldfish.progress, math.nan)

    def test_threads(self):
        """lines of several threads are whole, and none is lost"""

        def log(thread):
            for step in range(500):
                goldfish.log_metric("t%d" % thread, step, step)

        threads = [threading.Thread(target=log, args=(number,)) for number in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        lines = self.lines()
        self.assertEqual(len(lines), 4000)
        for number in range(8):
            self.assertEqual(
                [line["value"] for line in lines if line["name"] == "t%d" % number], list(range(500))
            )

    def test_processes(self):
        """lines of forked and of spawned processes are whole, and none is lost"""
        spawned = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    "import goldfish\nfor n in range(300): goldfish.log_metric('s', n, n)",
                ],
                env={**os.environ, "PYTHONPATH": str(LIBRARY), "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.DEVNULL,
            )
            for _ in range(2)
        ]
        self.python(
            "import goldfish, os\n"
            "goldfish.log_metric('parent', 0)\n"
            "children = []\n"
            "for _ in range(4):\n"
            "    pid = os.fork()\n"
            "    if pid == 0:\n"
            "        for n in range(300): goldfish.log_metrics({'f': n, 'g' * 120: n}, n)\n"
            "        os._exit(0)\n"
            "    children.append(pid)\n"
            "assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)\n"
        )
        self.assertEqual([child.wait(timeout=60) for child in spawned], [0, 0])
        names = [line["name"] for line in self.lines()]
        self.assertEqual((names.count("f"), names.count("g" * 120), names.count("s")), (1200, 1200, 600))

    def test_speed(self):
        """a hundred thousand metrics take seconds, not minutes"""
        done = self.python(
            "import goldfish, time\n"
            "start = time.monotonic()\n"
            "for step in range(100000): goldfish.log_metric('loss', 0.5, step)\n"
            "print(time.monotonic() - start)\n"
        )
        self.assertLess(float(done.stdout), 20)
        self.assertEqual(len(self.lines()), 100000)

    def test_control_folder_gone(self):
        """a metric that cannot be written says so"""
        os.environ["GOLDFISH_CONTROL"] = str(self.root / "gone")
        self.refuses("The metric cannot be written: No such file or directory.", goldfish.log_metric, "a", 1)
