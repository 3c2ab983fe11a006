import decimal
import enum
import os
import pathlib

import goldfish
from stage import StageCase, needs

KINDS = ("npy", "npz", "csv", "parquet", "json", "file", "directory")


# A smallest file of each type.
CONTENT = {
    "npy": b"\x93NUMPY\1\0",
    "npz": b"PK\5\6" + b"\0" * 18,
    "csv": b"a\n",
    "parquet": b"PAR1",
    "json": b"1",
    "file": b"content",
}


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


class Colour(enum.IntEnum):
    RED = 1


class Signals(StageCase):
    def setUp(self):
        super().setUp()
        self.stage(
            inputs={"j": "json", "f": "file", "d": "directory", "s": "dataset"},
            outputs={kind: kind for kind in KINDS},
        )
        self.work = self.root / "work"
        self.work.mkdir()
        kept = os.getcwd()
        os.chdir(self.work)
        self.addCleanup(os.chdir, kept)

    def json(self, value):
        return goldfish.save_output("json", value).read_text(encoding="utf-8")

    def test_json(self):
        """json keeps the order given, ends with a newline, and comes back as it was"""
        value = {"b": [1, 0.1, True, None, "ü"], "a": {"x": (1, 2)}, "e": {}, "n": 2**70}
        text = self.json(value)
        self.assertEqual(text[:26], '{\n  "b": [\n    1,\n    0.1,')
        self.assertTrue(text.endswith("}\n"))
        (self.inputs / "j.json").write_text(text, encoding="utf-8")
        self.assertEqual(goldfish.load_input("j"), {**value, "a": {"x": [1, 2]}})
        self.assertEqual(self.json({1: "a", 2.5: "b"}), '{\n  "1": "a",\n  "2.5": "b"\n}\n')
        self.assertEqual(self.json([Colour.RED]), "[\n  1\n]\n")
        self.assertEqual(self.json("a word"), '"a word"\n')
        self.assertEqual(self.json(None), "null\n")
        self.assertEqual(self.json(b'{"raw":1}'), '{"raw":1}')

    def test_json_refusals(self):
        """what JSON does not have is refused with its place"""
        loop = []
        loop.append(loop)
        for value, message in (
            ({"a": [1, float("nan")]}, "$.a[1] is nan, which JSON does not have."),
            ([float("-inf")], "$[0] is -inf, which JSON does not have."),
            ({"a": {1, 2}}, "$.a is a set, which JSON does not have; sort it into a list."),
            ({"a": object()}, "$.a is a object, which JSON does not have."),
            ([decimal.Decimal(1)], "$[0] is a Decimal, which JSON does not have."),
            ({(1, 2): 3}, "a key of $ is (1, 2); keys must be text."),
            ({1: "a", "1": "b"}, "$ has the key '1' twice."),
            (loop, "$[0] contains itself."),
            (nested(100000), "the value is nested too deeply."),
            (b"{", "these bytes are not JSON: …"),
        ):
            with self.subTest(message):
                self.refuses("Output json (json): " + message, goldfish.save_output, "json", value)
        self.refuses(
            "Output json (json): the text is not valid Unicode…", goldfish.save_output, "json", "\udcff"
        )
        self.assertEqual(list(self.outputs.iterdir()), [])

    @needs("numpy")
    def test_json_of_numpy(self):
        """numpy numbers and arrays in json become numbers and lists"""
        import numpy

        value = {
            "a": numpy.float32(0.5),
            "b": numpy.arange(2),
            "c": numpy.bool_(True),
            numpy.int64(3): numpy.float64(1),
        }
        self.assertEqual(
            self.json(value), '{\n  "a": 0.5,\n  "b": [\n    0,\n    1\n  ],\n  "c": true,\n  "3": 1.0\n}\n'
        )
        self.refuses(
            "Output json (json): $.a[0] is nan…",
            goldfish.save_output,
            "json",
            {"a": numpy.array([numpy.nan])},
        )

    def test_file(self):
        """a file takes bytes and text"""
        self.assertEqual(goldfish.save_output("file", b"\0\xff").read_bytes(), b"\0\xff")
        self.assertEqual(goldfish.save_output("file", "ü\r\n").read_bytes(), "ü\r\n".encode())
        self.assertEqual(goldfish.save_output("file", "").read_bytes(), b"")
        self.assertEqual(goldfish.save_output("file", bytearray(b"x")).read_bytes(), b"x")
        self.refuses(
            "Output file (file) cannot hold 'dict'; give bytes, text or a path,…",
            goldfish.save_output,
            "file",
            {},
        )

    def test_paths(self):
        """a path is copied, as pathlib.Path or as text that names a file, for every type of one file"""
        source = self.work / "mödel 1.bin"
        for kind in KINDS[:-1]:
            source.write_bytes(CONTENT[kind])
            source.chmod(0o444)
            for value in (source, str(source), source.name, pathlib.Path(source.name)):
                target = goldfish.save_output(kind, value)
                self.assertEqual(target.read_bytes(), CONTENT[kind])
            self.assertEqual(target.stat().st_mode & 0o777, 0o644)
            source.unlink()

    def test_paths_of_another_type(self):
        """a file that would be no output of its type when the run ends is refused while the stage can change it"""
        source = self.work / "made"
        for kind, content, message in (
            ("npy", b"PK", "the bytes of 'made' are not the content of a .npy file."),
            ("npz", b"", "the bytes of 'made' are not the content of a .npz file."),
            ("parquet", b"PAR", "the bytes of 'made' are not the content of a .parquet file."),
            ("csv", b"", "the bytes of 'made' are not the content of a .csv file."),
            ("json", b"{", "the bytes of 'made' are not JSON: Expecting…"),
            ("json", b'{"loss": NaN}', "the bytes of 'made' are not JSON: it has no NaN"),
            ("json", b"[" * 100000, "the bytes of 'made' are not JSON: …"),
        ):
            source.write_bytes(content)
            with self.subTest(kind):
                self.refuses("Output %s (%s): %s" % (kind, kind, message), goldfish.save_output, kind, "made")
        for kind, content, message in (
            ("json", b"[-Infinity]", "these bytes are not JSON: it has no -Infinity"),
            ("csv", "", "these bytes are not the content of a .csv file."),
            ("csv", b"", "these bytes are not the content of a .csv file."),
        ):
            self.refuses("Output %s (%s): %s" % (kind, kind, message), goldfish.save_output, kind, content)
        self.assertEqual(list(self.outputs.iterdir()), [])

    def test_inputs_that_cannot_be_read(self):
        """an input that the system refuses, or that is nested beyond reason, is an error of one line"""
        (self.inputs / "j.json").mkdir()
        self.refuses("Input j cannot be read: Is a directory", goldfish.load_input, "j")
        (self.inputs / "j.json").rmdir()
        (self.inputs / "j.json").write_text("[" * 100000)
        self.refuses("Input j: not a readable JSON file: …", goldfish.load_input, "j")

    def test_directory_in_the_way(self):
        """an output folder that cannot be made is an error of one line"""
        (self.outputs / "directory").write_text("a file")
        self.refuses("Output directory cannot be made: File exists.", goldfish.output_path, "directory")

    def test_folder(self):
        """a folder is copied whole, replacing what was there; links inside stay, files outside are taken in"""
        outside = self.work / "outside.txt"
        outside.write_text("out")
        folder = self.work / "model"
        (folder / "sub" / "empty").mkdir(parents=True)
        (folder / "sub" / "w.bin").write_bytes(b"w")
        (folder / "run.sh").write_text("x")
        (folder / "run.sh").chmod(0o755)
        (folder / "inside").symlink_to("sub/w.bin")
        (folder / "taken").symlink_to(outside)
        goldfish.output_path("directory").joinpath("old").write_text("old")
        target = goldfish.save_output("directory", "model")
        self.assertEqual(
            sorted(str(path.relative_to(target)) for path in target.rglob("*")),
            ["inside", "run.sh", "sub", "sub/empty", "sub/w.bin", "taken"],
        )
        self.assertEqual(os.readlink(target / "inside"), "sub/w.bin")
        self.assertEqual((target / "taken").is_symlink(), False)
        self.assertEqual((target / "taken").read_text(), "out")
        self.assertEqual((target / "run.sh").stat().st_mode & 0o777, 0o755)
        self.assertEqual([path.name for path in self.outputs.iterdir()], ["directory"])

    def test_folder_written_in_place(self):
        """a folder that is the output itself is left as it is"""
        goldfish.output_path("directory").joinpath("a").write_text("a")
        goldfish.save_output("directory", goldfish.output_path("directory"))
        self.assertEqual((self.outputs / "directory" / "a").read_text(), "a")

    def test_refused_paths(self):
        """missing, mistyped, dangling, special and self-containing paths are refused, and nothing is left behind"""
        (self.work / "folder").mkdir()
        (self.work / "file").write_text("x")
        for name, make in (
            ("dangling", lambda at: at.symlink_to("nowhere")),
            ("out", lambda at: at.symlink_to("/usr")),
            ("fifo", os.mkfifo),
        ):
            (self.work / name).mkdir()
            make(self.work / name / "x")
        for output, value, message in (
            ("file", pathlib.Path("nowhere"), "there is no file or folder 'nowhere'."),
            (
                "file",
                "/tmp/no/such.bin",
                "there is no file or folder '/tmp/no/such.bin'; to save the text itself, pass bytes.",
            ),
            ("json", "/tmp/no/such.json", "there is no file or folder '/tmp/no/such.json'; to save…"),
            ("directory", pathlib.Path("dangling"), "'dangling/x' is a link to nothing."),
            ("directory", pathlib.Path("out"), "'out/x' is a link to a folder outside of the saved one."),
            ("directory", pathlib.Path("fifo"), "'fifo/x' is no ordinary file."),
            ("directory", self.outputs, "…"),
        ):
            with self.subTest(message):
                self.refuses(
                    "Output %s (%s): %s" % (output, output, message), goldfish.save_output, output, value
                )
        self.refuses(
            "Output file (file) needs a file, and 'folder' is none.",
            goldfish.save_output,
            "file",
            pathlib.Path("folder"),
        )
        self.refuses(
            "Output directory (directory) needs a folder, and 'file' is none.",
            goldfish.save_output,
            "directory",
            "file",
        )
        self.refuses(
            "Output directory (directory) takes the path of a folder;…",
            goldfish.save_output,
            "directory",
            {"a": 1},
        )
        self.refuses(
            "Output directory (directory) takes the path of a folder;…",
            goldfish.save_output,
            "directory",
            "nowhere",
        )
        self.assertEqual(list(self.outputs.iterdir()), [])
        self.assertEqual(
            goldfish.save_output("file", "folder").read_text(), "folder", "a word that names a folder is text"
        )

    def test_move(self):
        """with move=True file and folder are gone from where they were"""
        (self.work / "file").write_text("x")
        (self.work / "folder").mkdir()
        (self.work / "folder" / "a").write_text("a")
        goldfish.save_output("file", "file", move=True)
        goldfish.output_path("directory")
        goldfish.save_output("directory", "folder", move=True)
        self.assertEqual((self.outputs / "file").read_text(), "x")
        self.assertEqual((self.outputs / "directory" / "a").read_text(), "a")
        self.assertEqual(list(self.work.iterdir()), [])

    def test_move_across_file_systems(self):
        """a move to another file system copies and then removes"""
        import goldfish.copying as copying

        (self.work / "folder").mkdir()
        (self.work / "folder" / "a").write_text("a")
        kept = copying._renamed
        copying._renamed = lambda source, target: False
        self.addCleanup(setattr, copying, "_renamed", kept)
        goldfish.save_output("directory", "folder", move=True)
        self.assertEqual((self.outputs / "directory" / "a").read_text(), "a")
        self.assertEqual(list(self.work.iterdir()), [])

    def test_load_paths(self):
        """files, folders and datasets are loaded as their paths; a missing one is named"""
        (self.inputs / "f").write_text("x")
        (self.inputs / "d").mkdir()
        self.assertEqual(goldfish.load_input("f"), self.inputs / "f")
        self.assertEqual(goldfish.load_input("d"), self.inputs / "d")
        self.refuses("Input s is declared but not there.", goldfish.load_input, "s")
        (self.inputs / "j.json").write_text("{'a': 1}")
        self.refuses("Input j: not a readable JSON file: …", goldfish.load_input, "j")

    def test_full_disk(self):
        """a write that fails says why in one line and leaves the old output whole"""
        goldfish.save_output("file", b"old")
        done = self.python(
            "import os, resource, goldfish\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
            "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "try: goldfish.save_output('file', b'x' * 100000)\n"
            "except goldfish.GoldfishError as error: print(error)"
        )
        self.assertIn("Output file (file) cannot be saved: ", done.stdout)
        self.assertEqual([path.name for path in self.outputs.iterdir()], ["file"])
        self.assertEqual((self.outputs / "file").read_bytes(), b"old")

    def test_artifacts(self):
        """log_artifact keeps copies of files and folders under artifacts/"""
        (self.work / "plot.svg").write_text("<svg/>")
        (self.work / "plots").mkdir()
        (self.work / "plots" / "a").write_text("a")
        self.assertEqual(goldfish.log_artifact("plot.svg"), self.outputs / "artifacts" / "plot.svg")
        goldfish.log_artifact(self.work / "plots")
        goldfish.log_artifact("plots", name="again")
        goldfish.log_artifact("plots", name="again")
        found = sorted(
            str(path.relative_to(self.outputs)) for path in self.outputs.rglob("*") if path.is_file()
        )
        self.assertEqual(found, ["artifacts/again/a", "artifacts/plot.svg", "artifacts/plots/a"])
        self.refuses("Artifact no: there is no file or folder 'no'.", goldfish.log_artifact, "no")
        self.refuses(
            "An artifact's name is a plain file name, not '../x'.",
            goldfish.log_artifact,
            "plots",
            name="../x",
        )

    def test_saved_from_many_threads(self):
        """outputs saved from several threads at once are each whole"""
        done = self.python(
            "import goldfish, threading\n"
            "def save(n):\n"
            "    for _ in range(20): goldfish.save_output('file', bytes([65 + n]) * 100000)\n"
            "threads = [threading.Thread(target=save, args=(n,)) for n in range(8)]\n"
            "[t.start() for t in threads]; [t.join() for t in threads]\n"
        )
        self.assertEqual(done.stderr, "")
        data = (self.outputs / "file").read_bytes()
        self.assertEqual((len(data), len(set(data))), (100000, 1))
        self.assertEqual([path.name for path in self.outputs.iterdir()], ["file"])
