import ast
import json
import os
import pathlib

import goldfish
import goldfish.io
from stage import LIBRARY, StageCase, without


class Run(StageCase):
    def test_surface(self):
        """goldfish and goldfish.io offer the promised names"""
        for name in (
            "load_input input_path output_path save_output config log_metric log_metrics log_artifact heartbeat "
            "progress should_stop save_checkpoint load_checkpoint run_info"
        ).split():
            self.assertTrue(callable(getattr(goldfish, name)), name)
            self.assertTrue(getattr(goldfish, name).__doc__, name)
        for name in (
            "load_input save_output input_path output_path get_config get_input_path get_output_path".split()
        ):
            self.assertTrue(callable(getattr(goldfish.io, name)), name)

    def test_old_syntax(self):
        """every module is Python 3.8 and imports nothing outside the standard library on its own"""
        allowed = set(
            "__future__ array ast contextlib copy csv dataclasses datetime difflib hashlib io json math os pathlib "
            "re shutil stat struct sys threading time typing uuid zipfile zlib".split()
        )
        for path in sorted((LIBRARY / "goldfish").glob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
            for node in ast.walk(tree):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module]
                for name in names:
                    if path.name != "optional.py":
                        self.assertIn(name.split(".")[0], allowed, path.name)

    def test_import_is_light(self):
        """importing the library imports neither numpy nor pandas"""
        done = self.python(
            "import sys, goldfish; print([m for m in ('numpy', 'pandas') if m in sys.modules])"
        )
        self.assertEqual(done.stdout, "[]\n")

    def test_config(self):
        """config() is a fresh plain dict without the reserved keys"""
        self.stage(config={"k": 5, "nested": {"a": [1]}, "compute": {}, "environment": [], "metrics": {}})
        first = goldfish.config()
        self.assertEqual(first, {"k": 5, "nested": {"a": [1]}})
        first["nested"]["a"].append(2)
        self.assertEqual(goldfish.config(), {"k": 5, "nested": {"a": [1]}})
        self.assertEqual(goldfish.io.get_config(), goldfish.config())

    def test_run_info(self):
        """run_info() names run, workspace, version, stage, attempt and rank"""
        self.stage(attempt=2)
        expected = {
            "run_id": "stage-0123456789ab", "workspace": "birds", "version": "v3", "stage": "train",
            "attempt": 2, "rank": 0, "world_size": 1,
        }  # fmt: skip
        self.assertEqual(goldfish.run_info(), expected)
        os.environ.update(GOLDFISH_RANK="3", GOLDFISH_WORLD_SIZE="4")
        self.assertEqual((goldfish.run_info()["rank"], goldfish.run_info()["world_size"]), (3, 4))

    def test_paths(self):
        """input_path and output_path give exactly the promised path for every type"""
        kinds = {
            "a": "npy",
            "b": "npz",
            "c": "csv",
            "d": "parquet",
            "e": "json",
            "f": "file",
            "g": "directory",
        }
        names = ["a.npy", "b.npz", "c.csv", "d.parquet", "e.json", "f", "g"]
        self.stage(inputs={**kinds, "h": "dataset"}, outputs=kinds)
        self.assertEqual(
            [goldfish.input_path(name) for name in kinds], [self.inputs / name for name in names]
        )
        self.assertEqual(
            [goldfish.output_path(name) for name in kinds], [self.outputs / name for name in names]
        )
        self.assertEqual(goldfish.input_path("h"), self.inputs / "h")
        self.assertTrue((self.outputs / "g").is_dir(), "an output folder is there to be written into")
        self.assertIsInstance(goldfish.io.get_input_path("a"), pathlib.Path)

    def test_paths_without_document_paths(self):
        """a run document without paths, or with relative ones, still leads below the folders"""
        document = {"inputs": {"a": {"type": "csv"}}, "outputs": {"b": {"type": "npy", "path": "b.npy"}}}
        pathlib.Path(os.environ["GOLDFISH_CONFIG"]).write_text(json.dumps(document))
        self.assertEqual(goldfish.input_path("a"), self.inputs / "a.csv")
        self.assertEqual(goldfish.output_path("b"), self.outputs / "b.npy")
        self.assertEqual(goldfish.config(), {})

    def test_unknown_names(self):
        """an unknown input or output is refused with the nearest name and all known ones"""
        self.stage(inputs={"features": "npy", "split": "csv"}, outputs={"model": "json"})
        self.refuses(
            "This stage has no input 'feature': did you mean \"features\"? Known: features, split.",
            goldfish.input_path,
            "feature",
        )
        self.refuses("This stage has no output 'xyz': Known: model.", goldfish.save_output, "xyz", 1)
        self.refuses(
            "This stage has no output '../model': did you mean…", goldfish.save_output, "../model", 1
        )
        self.refuses("This stage has no input None: Known: features, split.", goldfish.load_input, None)
        self.stage()
        self.refuses("This stage has no input 'a': there are none.", goldfish.load_input, "a")

    def test_outside_of_a_run(self):
        """outside of a run every call says in one line how to start one"""
        for name in list(os.environ):
            if name.startswith("GOLDFISH_"):
                del os.environ[name]
        end = (
            " is not set, so this program is not running as a Goldfish stage: "
            "start it with the run tool or `goldfish run WORKSPACE`."
        )
        for act, arguments in (
            (goldfish.config, ()),
            (goldfish.run_info, ()),
            (goldfish.input_path, ("a",)),
            (goldfish.output_path, ("a",)),
            (goldfish.load_input, ("a",)),
            (goldfish.save_output, ("a", 1)),
        ):
            self.refuses("GOLDFISH_CONFIG" + end, act, *arguments)
        for act, arguments in (
            (goldfish.log_metric, ("loss", 1)),
            (goldfish.progress, (0.5,)),
            (goldfish.heartbeat, ()),
            (goldfish.should_stop, ()),
        ):
            self.refuses("GOLDFISH_CONTROL" + end, act, *arguments)
        self.refuses("GOLDFISH_CHECKPOINTS" + end, goldfish.load_checkpoint)
        self.refuses("GOLDFISH_CHECKPOINTS" + end, goldfish.save_checkpoint, "a", {})

    def test_damaged_document(self):
        """a damaged run document is named as such"""
        pathlib.Path(os.environ["GOLDFISH_CONFIG"]).write_text("{")
        self.refuses("The run document behind GOLDFISH_CONFIG cannot be read: …", goldfish.config)
        pathlib.Path(os.environ["GOLDFISH_CONFIG"]).write_text("[]")
        self.refuses("The run document behind GOLDFISH_CONFIG is not a JSON object.", goldfish.config)

    def test_without_numpy_and_pandas(self):
        """everything works where numpy and pandas cannot be imported"""
        self.stage(outputs={"a": "npy", "t": "csv"}, inputs={"a": "npy", "t": "csv"})
        with without("numpy", "pandas"):
            goldfish.save_output("a", [[1, 2], [3, 4]]).rename(self.inputs / "a.npy")
            goldfish.save_output("t", [{"x": 1}]).rename(self.inputs / "t.csv")
            self.assertEqual(goldfish.load_input("a"), [[1, 2], [3, 4]])
            self.assertEqual(goldfish.load_input("t"), [{"x": 1}])
