import datetime
import math

import goldfish
from stage import StageCase, importable, needs, parquet_engine, without


class Tables(StageCase):
    def setUp(self):
        super().setUp()
        self.stage(inputs={"t": "csv", "p": "parquet"}, outputs={"t": "csv", "p": "parquet"})

    def saved(self, value):
        return goldfish.save_output("t", value).read_bytes().decode("utf-8")

    def read(self, text):
        (self.inputs / "t.csv").write_bytes(text.encode("utf-8"))
        return goldfish.load_input("t", plain=True)

    def test_dicts(self):
        """a list of dicts becomes a csv with all their columns, in the order they first appear"""
        rows = [
            {"b": 1, "a": 0.1},
            {"b": None, "a": 1e300, "c": 'say "x", y'},
            {"a": float("inf"), "c": "ü\nz"},
        ]
        self.assertEqual(self.saved(rows), 'b,a,c\n1,0.1,\n,1e+300,"say ""x"", y"\n,inf,"ü\nz"\n')

    def test_rows(self):
        """a list of rows is written as it is, the first row being the header"""
        self.assertEqual(
            self.saved([["x", "y"], (1, True), range(2) and [2, False]]), "x,y\n1,True\n2,False\n"
        )
        self.assertEqual(self.saved([]), "\n", "a file without a byte would be no output")
        self.assertEqual(self.read(self.saved([])), [])
        self.assertEqual(self.read(self.saved([{}])), [])
        self.assertEqual(self.read(self.saved([{"a": None}, {"a": 1}])), [{"a": None}, {"a": 1}])

    def test_text_and_bytes(self):
        """csv text and bytes are stored byte for byte"""
        self.assertEqual(self.saved("a,b\r\n1,2\n"), "a,b\r\n1,2\n")
        self.assertEqual(self.saved(b"a\n"), "a\n")

    def test_round_trip(self):
        """without pandas what was saved comes back with its types"""
        rows = [
            {"n": 1, "x": 0.1, "ok": True, "s": "007", "gap": None, "t": 'a,b\n"c"'},
            {"n": -20, "x": 1e-300, "ok": False, "s": "8", "gap": 3, "t": "ü"},
        ]
        self.assertEqual(self.read(self.saved(rows)), rows)
        self.assertEqual(self.read(self.saved([{"x": 2**70}, {"x": -1}])), [{"x": 2**70}, {"x": -1}])
        back = self.read(self.saved([{"x": math.nan}, {"x": -math.inf}]))
        self.assertTrue(math.isnan(back[0]["x"]))
        self.assertEqual(back[1]["x"], -math.inf)

    def test_line_breaks(self):
        """every kind of line break inside a cell is quoted and comes back as it was"""
        rows = [{"a": "x\ry"}, {"a": "\r"}, {"a": "x\r\ny"}, {"a": "\r\n"}, {"a": "x\ny\n"}]
        self.assertEqual(self.saved(rows), 'a\n"x\ry"\n"\r"\n"x\r\ny"\n"\r\n"\n"x\ny\n"\n')
        self.assertEqual(self.read(self.saved(rows)), rows)
        self.assertEqual(self.saved([["h\r\n"], ["\r\n"]]), '"h\r\n"\n"\r\n"\n')

    def test_types_by_column(self):
        """a column has one type: int, float or bool where all its cells are, else text; empty cells are None"""
        text = "\ufeffi,f,b,s,e,z,w\r\n1,1,True,1,,01,1_0\r\n-2,2.5e3,False,x,,2.5,2\r\n\r\n,,,,,,\r\n"
        self.assertEqual(
            self.read(text),
            [
                {"i": 1, "f": 1.0, "b": True, "s": "1", "e": None, "z": "01", "w": "1_0"},
                {"i": -2, "f": 2500.0, "b": False, "s": "x", "e": None, "z": "2.5", "w": "2"},
                {"i": None, "f": None, "b": None, "s": None, "e": None, "z": None, "w": None},
            ],
        )
        self.assertIsInstance(self.read("f\n1\n2.0\n")[0]["f"], float)
        self.assertEqual(
            [row["x"] for row in self.read("x\n1e999\n2\n")], ["1e999", "2"], "no number becomes inf"
        )
        self.assertEqual(self.read(""), [])
        self.assertEqual(self.read("a,b\n"), [])
        self.assertEqual(self.read("a\n" + "9" * 5000 + "\n")[0]["a"], "9" * 5000)
        self.assertEqual(len(self.read('a\n"' + "x" * 300000 + '"\n')[0]["a"]), 300000)

    def test_refusals(self):
        """what is no table is refused by row and column"""
        for value, message in (
            ({"a": [1]}, "Output t (csv) cannot hold 'dict'; give a DataFrame, a list of dicts,…"),
            ([1, 2], "Output t (csv) cannot hold 'list'; give…"),
            (3, "Output t (csv) cannot hold 'int'; give…"),
            ([{"a": [1]}], "Output t (csv): a csv cell cannot hold [1] (row 1, column 'a')."),
            ([{"a": b"x"}], "Output t (csv): a csv cell cannot hold b'x' (row 1, column 'a')."),
            ([["a"], [{1}]], "Output t (csv): a csv cell cannot hold {1} (row 2, column 0)."),
            ([{"a": 1}, [1]], "Output t (csv): some rows are dicts and some are lists."),
            ([["a", "b"], [1]], "Output t (csv): row 2 has 1 cells, the first has 2."),
            ("\udcff", "Output t (csv): the text is not valid Unicode at character 0."),
            ([["a"], ["\udcff"]], "Output t (csv): one of the texts is not valid Unicode."),
        ):
            with self.subTest(str(message)):
                self.refuses(message, goldfish.save_output, "t", value)
        self.assertEqual(list(self.outputs.iterdir()), [])
        self.assertEqual(self.saved([{"d": datetime.date(2026, 1, 2)}]), "d\n2026-01-02\n")

    def test_damage(self):
        """a csv that does not hold together is refused with the place"""
        for text, message in (
            ("a,b\n1\n", "Input t: row 1 has 1 cells, the header has 2."),
            ("a,a\n1,2\n", "Input t: the column 'a' is there twice; read the file at input_path."),
            ('a\n"open\n', "Input t: not a readable csv file: unexpected end of data"),
        ):
            self.refuses(message, self.read, text)
        (self.inputs / "t.csv").write_bytes(b"a\n\xff\xfe\n")
        self.refuses("Input t: not a readable csv file: 'utf-8' codec…", goldfish.load_input, "t", plain=True)

    @needs("numpy")
    def test_numpy_cells(self):
        """numpy numbers in cells are written as the numbers they are"""
        import numpy

        rows = [
            {"a": numpy.float64(0.1), "b": numpy.int32(3), "c": numpy.bool_(True), "d": numpy.float32(0.5)}
        ]
        self.assertEqual(self.saved(rows), "a,b,c,d\n0.1,3,True,0.5\n")
        self.refuses("Output t (csv) cannot hold an array; give…", goldfish.save_output, "t", numpy.eye(2))

    @needs("pandas")
    def test_frames(self):
        """DataFrames are written and read; a named index is a column, others are not"""
        import pandas

        frame = pandas.DataFrame({"a": [1, 2], "b": [0.5, None]})
        self.assertEqual(self.saved(frame), "a,b\n1,0.5\n2,\n")
        self.assertEqual(self.saved(frame[frame.a > 1]), "a,b\n2,\n")
        self.assertEqual(self.saved(frame.set_index("a")), "a,b\n1,0.5\n2,\n")
        goldfish.save_output("t", frame).rename(self.inputs / "t.csv")
        pandas.testing.assert_frame_equal(goldfish.load_input("t"), frame)
        self.assertIsInstance(goldfish.load_input("t", plain=True), list)
        for nothing in (b"", b"\n"):
            (self.inputs / "t.csv").write_bytes(nothing)
            self.assertEqual(len(goldfish.load_input("t")), 0)
        breaks = pandas.DataFrame({"a": ["x\ry", "x\r\ny", "\n"], "b": [1, 2, 3]})
        self.assertEqual(self.saved(breaks), 'a,b\n"x\ry",1\n"x\r\ny",2\n"\n",3\n')
        goldfish.save_output("t", breaks).rename(self.inputs / "t.csv")
        pandas.testing.assert_frame_equal(goldfish.load_input("t"), breaks)
        self.refuses(
            "Output t (csv): the index has labels ('count') and no name, so they would be lost: name it…",
            goldfish.save_output, "t", frame.describe(),
        )  # fmt: skip
        self.assertEqual(self.saved(frame.describe().rename_axis("what"))[:11], "what,a,b\nco")
        self.assertEqual(self.saved(frame[:0]), "a,b\n")
        (self.inputs / "t.csv").write_bytes(b"a\n1\n1,2,3\n")
        self.refuses("Input t: not a readable csv file: …", goldfish.load_input, "t")

    @needs("pandas")
    def test_parquet(self):
        """parquet is written from a DataFrame or a list of dicts and read back, through pandas"""
        import pandas

        rows = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
        for value in (rows, pandas.DataFrame(rows)):
            with parquet_engine():
                goldfish.save_output("p", value).rename(self.inputs / "p.parquet")
                self.assertEqual(goldfish.load_input("p", plain=True), rows)
                self.assertEqual(goldfish.load_input("p").shape, (2, 2))

    def test_parquet_without_packages(self):
        """parquet without pandas or pyarrow names the packages; a ready file is taken all the same"""
        (self.inputs / "p.parquet").write_bytes(b"PAR1")
        missing = "parquet needs the packages pandas and pyarrow; add them to requirements.txt."
        with without("pandas"):
            self.refuses("Output p (parquet): " + missing, goldfish.save_output, "p", [{"a": 1}])
            self.refuses("Input p: " + missing, goldfish.load_input, "p")
            goldfish.save_output("p", b"PAR1....PAR1")
            goldfish.save_output("p", goldfish.input_path("p"))
        if importable("pandas"):
            with without("pyarrow", "fastparquet"):
                self.refuses(
                    "Output p (parquet): parquet needs the package pyarrow; …",
                    goldfish.save_output,
                    "p",
                    [{"a": 1}],
                )
