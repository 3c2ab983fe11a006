"""A run folder of its own for each case, as a backend would lay it out, and the variables that point into it."""

import contextlib
import importlib
import importlib.util
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

LIBRARY = pathlib.Path(__file__).resolve().parents[4] / "sdk" / "python"
EXTENSIONS = {"npy": ".npy", "npz": ".npz", "csv": ".csv", "parquet": ".parquet", "json": ".json"}
VARIABLES = ("INPUTS", "OUTPUTS", "CONTROL", "CHECKPOINTS")


def importable(name):
    return importlib.util.find_spec(name) is not None


def needs(*packages):
    """Skips a case, with its reason in the title, where a package is not there."""
    missing = [package for package in packages if not importable(package)]

    def mark(method):
        if not missing:
            return method
        text = "needs %s: GOLDFISH_SETUP=1 npm test" % " and ".join(missing)
        skipped = unittest.skip(text)(method)
        skipped.needs = text
        return skipped

    return mark


@contextlib.contextmanager
def without(*packages):
    """Makes `import package` fail with ImportError, as on a machine that does not have it."""
    kept = {name: sys.modules.get(name) for name in packages}
    sys.modules.update({name: None for name in packages})
    try:
        yield
    finally:
        for name, module in kept.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


@contextlib.contextmanager
def parquet_engine():
    """pyarrow where it is installed; Debian has none, so elsewhere a stand-in behind the two functions of pandas."""
    import pandas

    def write(frame, handle):
        handle.write(b"PAR1" + frame.to_json(orient="split").encode())

    def read(path):
        return pandas.read_json(io.BytesIO(pathlib.Path(path).read_bytes()[4:]), orient="split")

    with contextlib.ExitStack() as stack:
        if not importable("pyarrow"):
            stack.enter_context(unittest.mock.patch.object(pandas.DataFrame, "to_parquet", write))
            stack.enter_context(unittest.mock.patch.object(pandas, "read_parquet", read))
        yield


class StageCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="goldfish sdk ü "))
        self.addCleanup(shutil.rmtree, self.root)
        kept = dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(kept)))
        for name in list(os.environ):
            if name.startswith("GOLDFISH_"):
                del os.environ[name]
        self.stage()

    def stage(self, config=None, inputs=None, outputs=None, attempt=1):
        """Starts a run with inputs and outputs {name: type}; its folders are self.inputs, self.outputs, …"""
        place = self.root / ("attempt %d %s" % (attempt, os.urandom(4).hex()))
        for name in VARIABLES:
            folder = self.root / "checkpoints" if name == "CHECKPOINTS" else place / name.lower()
            folder.mkdir(parents=True, exist_ok=True)
            setattr(self, name.lower(), folder)
            os.environ["GOLDFISH_" + name] = str(folder)

        def declared(signals, folder):
            return {
                name: {"type": kind, "path": str(folder / (name + EXTENSIONS.get(kind, "")))}
                for name, kind in (signals or {}).items()
            }

        document = {
            "config": config or {},
            "inputs": declared(inputs, self.inputs),
            "outputs": declared(outputs, self.outputs),
            "run": {
                "run_id": "stage-0123456789ab",
                "workspace": "birds",
                "version": "v3",
                "stage": "train",
                "attempt": attempt,
            },
        }
        (place / "config.json").write_text(json.dumps(document), encoding="utf-8")
        os.environ["GOLDFISH_CONFIG"] = str(place / "config.json")

    def refuses(self, message, act, *arguments, **named):
        """The call raises a GoldfishError of exactly this one line ("…" at the end: of this beginning)."""
        import goldfish

        with self.assertRaises(goldfish.GoldfishError) as caught:
            act(*arguments, **named)
        said = str(caught.exception)
        self.assertNotIn("\n", said)
        if message.endswith("…"):
            self.assertEqual(said[: len(message) - 1], message[:-1])
        else:
            self.assertEqual(said, message)

    def python(self, program, check=True):
        """Runs a program in a process of its own, inside the same run. Nothing of it outlives the call."""
        child = subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": str(LIBRARY), "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=str(self.root),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            start_new_session=True,
        )
        try:
            stdout, stderr = child.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            raise
        if check:
            self.assertEqual(child.returncode, 0, stderr)
        return subprocess.CompletedProcess(child.args, child.returncode, stdout, stderr)
