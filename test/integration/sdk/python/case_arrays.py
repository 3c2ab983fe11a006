import array
import io
import math
import random
import struct
import zipfile

import goldfish
from goldfish.npy import read_npy, write_npy
from stage import StageCase, needs, without

NESTED = {
    "a number": 3.5,
    "a whole number": 7,
    "truth": True,
    "a row": [1, 2, 3],
    "rows": [[1.5, 2], [3, -4.25]],
    "booleans": [[True, False], [False, True]],
    "text": ["Adelie", "", "Gentoo ü 🐧"],
    "nothing": [],
    "rows of nothing": [[], []],
    "three axes": [[[1], [2]], [[3], [4]], [[5], [6]]],
    "large": [2**63, 2**64 - 1],
    "small": [-(2**63), 2**63 - 1],
    "complex": [1j, 2 + 3j],
    "special": [math.inf, -math.inf, 0.1],
}


class Arrays(StageCase):
    def round_trip(self, value, kind="npy", plain=False):
        self.stage(inputs={"a": kind}, outputs={"a": kind})
        goldfish.save_output("a", value).rename(self.inputs / ("a." + kind))
        return goldfish.load_input("a", plain=plain)

    def test_nested_lists(self):
        """nested lists come back as they were, without numpy"""
        with without("numpy"):
            for name, value in NESTED.items():
                with self.subTest(name):
                    self.assertEqual(self.round_trip(value), value)
            self.assertEqual(self.round_trip([2**63, 1]), [2**63, 1], "numpy would make these floats")
            self.assertTrue(math.isnan(self.round_trip([1.0, math.nan])[1]))
            self.assertEqual(self.round_trip((range(3), array.array("d", [1, 2, 3]))), [[0, 1, 2], [1, 2, 3]])

    @needs("numpy")
    def test_same_bytes_as_numpy(self):
        """lists give the bytes numpy.save would give, and numpy reads them"""
        import numpy

        for name, value in NESTED.items():
            with self.subTest(name):
                ours, theirs = io.BytesIO(), io.BytesIO()
                write_npy(ours, value, "x")
                numpy.save(theirs, numpy.asarray(value))
                self.assertEqual(ours.getvalue(), theirs.getvalue())

    @needs("numpy")
    def test_reads_what_numpy_writes(self):
        """files of numpy are read without numpy: every plain dtype, byte order, memory order and version"""
        import numpy

        base = numpy.arange(24).reshape(2, 3, 4)
        for dtype in "?,i1,i2,i4,i8,u1,u2,u4,u8,f2,f4,f8,c8,c16,>i4,>f8,>u2,>c16,U3,>U3".split(","):
            for order in "CF":
                with self.subTest(dtype=dtype, order=order):
                    value = numpy.asarray(base.astype(dtype), order=order)
                    handle = io.BytesIO()
                    numpy.save(handle, value)
                    handle.seek(0)
                    self.assertEqual(read_npy(handle, "x"), value.tolist())
        for version in ((1, 0), (2, 0), (3, 0)):
            handle = io.BytesIO()
            numpy.lib.format.write_array(handle, base, version=version)
            handle.seek(0)
            self.assertEqual(read_npy(handle, "x"), base.tolist())

    @needs("numpy")
    def test_arrays(self):
        """numpy arrays keep dtype and shape, views and memory order included, and give equal bytes"""
        import numpy

        for value in (
            numpy.arange(6, dtype="float32").reshape(2, 3), numpy.arange(10)[::3], numpy.float64(3),
            numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3)), numpy.zeros((0, 4), dtype="int8"),
        ):  # fmt: skip
            back = self.round_trip(value)
            self.assertIsInstance(back, numpy.ndarray)
            self.assertEqual((back.dtype, back.shape), (numpy.asarray(value).dtype, numpy.shape(value)))
            numpy.testing.assert_array_equal(back, value)
        self.stage(outputs={"a": "npy", "b": "npy"})
        square = numpy.arange(9.0).reshape(3, 3)
        goldfish.save_output("a", square)
        goldfish.save_output("b", numpy.asfortranarray(square))
        self.assertEqual((self.outputs / "a.npy").read_bytes(), (self.outputs / "b.npy").read_bytes())

    @needs("numpy")
    def test_numpy_plain(self):
        """plain=True gives nested lists although numpy is there"""
        import numpy

        self.assertEqual(self.round_trip(numpy.eye(2), plain=True), [[1.0, 0.0], [0.0, 1.0]])
        self.assertEqual(self.round_trip({"a": numpy.eye(1)}, "npz", plain=True), {"a": [[1.0]]})

    @needs("numpy")
    def test_no_pickle(self):
        """object arrays are refused both ways: nothing is ever pickled"""
        import numpy

        self.stage(inputs={"a": "npy", "z": "npz"}, outputs={"a": "npy"})
        objects = numpy.array([{}, None], dtype=object)
        self.refuses(
            "Output a (npy): an array of Python objects would need pickle; give…",
            goldfish.save_output,
            "a",
            objects,
        )
        numpy.save(self.inputs / "a.npy", objects, allow_pickle=True)
        numpy.savez(self.inputs / "z.npz", a=objects)
        self.refuses(
            "Input a: Object arrays cannot be loaded when allow_pickle=False", goldfish.load_input, "a"
        )
        self.refuses("Input z: not a readable npz file: Object arrays…", goldfish.load_input, "z")
        with without("numpy"):
            self.refuses("Input a: holds Python objects, which would need pickle;…", goldfish.load_input, "a")
        masked = numpy.ma.array([1, 2], mask=[0, 1])
        self.refuses(
            "Output a (npy): a masked array would lose its mask;…", goldfish.save_output, "a", masked
        )

    def test_npz(self):
        """npz holds a dict of arrays, and equal values give equal bytes"""
        value = {"weights": [[1.0, 2.0]], "labels": ["a", "b"], "n": 3}
        with without("numpy"):
            self.assertEqual(self.round_trip(value, "npz"), value)
            first = (self.inputs / "a.npz").read_bytes()
            self.round_trip(value, "npz")
            self.assertEqual((self.inputs / "a.npz").read_bytes(), first)
            self.assertEqual(self.round_trip({}, "npz"), {})
            self.refuses(
                "Output a (npz): npz takes a dict of arrays by name, not 'list'.",
                goldfish.save_output,
                "a",
                [1],
            )
            self.refuses(
                "Output a (npz): '../x' is no name for an array.", goldfish.save_output, "a", {"../x": [1]}
            )

    @needs("numpy")
    def test_npz_with_numpy(self):
        """npz files of numpy are read with and without it, compressed ones too"""
        import numpy

        self.stage(inputs={"z": "npz"}, outputs={"z": "npz"})
        numpy.savez_compressed(self.inputs / "z.npz", a=numpy.arange(1000), b=numpy.eye(2))
        loaded = goldfish.load_input("z")
        self.assertEqual(sorted(loaded), ["a", "b"])
        numpy.testing.assert_array_equal(loaded["a"], numpy.arange(1000))
        with without("numpy"):
            self.assertEqual(goldfish.load_input("z")["b"], [[1.0, 0.0], [0.0, 1.0]])
        goldfish.save_output("z", loaded)
        with numpy.load(self.outputs / "z.npz") as again:
            numpy.testing.assert_array_equal(again["a"], loaded["a"])

    def test_refusals(self):
        """what is no array is refused by name and place"""
        self.stage(outputs={"a": "npy"})
        for value, message in (
            (
                [[1, 2], [3]],
                "rows differ in length along axis 1: row 1 does not have 2 items like the first.",
            ),
            ([[1], 2], "rows differ in length along axis 1: row 1 does not have 1 items like the first."),
            ([1, [2]], "some items of axis 1 are lists and some are not."),
            ([1, None], "an array cannot hold None; use float('nan') for a missing number."),
            ([1, "a"], "text and numbers cannot be mixed in one array."),
            ([{}], "an array cannot hold {}."),
            (
                [2**64],
                "whole numbers from 18446744073709551616 to 18446744073709551616 do not fit into 64 bits.",
            ),
            ([-1, 2**63], "whole numbers from -1 to 9223372036854775808 do not fit into 64 bits."),
            ("no-such.npy", "there is no file 'no-such.npy'."),
            (b"abc", "these bytes are not the content of a .npy file."),
        ):
            with self.subTest(str(value)):
                self.refuses("Output a (npy): " + message, goldfish.save_output, "a", value)
        self.assertEqual(list(self.outputs.iterdir()), [], "nothing half-written is left")

    def test_damage(self):
        """damaged array files are refused in one line, with and without numpy"""
        self.stage(inputs={"a": "npy", "z": "npz"}, outputs={"a": "npy"})
        whole = goldfish.save_output("a", [1.0] * 100).read_bytes()
        structured = b"{'descr': [('x', '<i4')], 'fortran_order': False, 'shape': (1,), }\n"
        for data, message in (
            (b"", "Input a: not an npy file."),
            (b"PK\3\4not an array", "Input a: not an npy file."),
            (whole[:-1], "Input a: the npy file ends early: 799 of 800 bytes."),
            (whole[:20], "Input a: the header of the npy file is damaged."),
            (whole[:8], "Input a: the header of the npy file is damaged."),
            (whole.replace(b"<f8", b"<q9"), "Input a: reading arrays of type '<q9' needs numpy;…"),
            (
                b"\x93NUMPY\1\0" + struct.pack("<H", len(structured)) + structured,
                "Input a: structured arrays need numpy; install it or save columns of their own.",
            ),
        ):
            (self.inputs / "a.npy").write_bytes(data)
            with self.subTest(message):
                self.refuses(message, goldfish.load_input, "a", plain=True)
                if b"descr': [" not in data:
                    self.refuses("Input a: …", goldfish.load_input, "a")
        text = goldfish.save_output("a", ["ab"]).read_bytes()
        (self.inputs / "a.npy").write_bytes(text[:-8] + b"\xff" * 8)
        self.refuses("Input a: one of the texts is not valid Unicode.", goldfish.load_input, "a", plain=True)
        for shape in (b"(-1,)", b"(1.5,)", b"(1,2", b"(((((", b"{}.a,"):
            (self.inputs / "a.npy").write_bytes(whole.replace(b"(100,)", shape.ljust(6)))
            self.refuses("Input a: the header of the npy file is damaged.", goldfish.load_input, "a", plain=True)
            if shape != b"(-1,)":  # numpy takes it for "whatever is there"
                self.refuses("Input a: …", goldfish.load_input, "a")
        long = b"(%d,), }" % 10**10
        (self.inputs / "a.npy").write_bytes(whole.replace(b"(100,), }".ljust(len(long)), long))
        self.refuses(
            "Input a: the npy file ends early: 800 of 80000000000 bytes.", goldfish.load_input, "a", plain=True
        )
        self.refuses(
            "Output a (npy): one of the texts is not valid Unicode.", goldfish.save_output, "a", ["\ud800"]
        )
        (self.inputs / "z.npz").write_bytes(b"PK\3\4 broken")
        self.refuses("Input z: not a readable npz file: …", goldfish.load_input, "z")
        self.refuses("Input z: not a readable npz file: …", goldfish.load_input, "z", plain=True)

    @needs("numpy")
    def test_foreign_arrays(self):
        """what another library refuses to turn into an array is refused in one line with its reason"""
        self.stage(outputs={"a": "npy"})

        class Tensor:
            def __array__(self, *_, **__):
                raise RuntimeError("Can't call numpy() on a tensor with a gradient.\nUse detach().")

        self.refuses(
            "Output a (npy): cannot be made an array of numpy: Can't call numpy() on a tensor with a gradient.",
            goldfish.save_output,
            "a",
            Tensor(),
        )

    def test_any_damage(self):
        """whatever becomes of an array file or archive, what is raised is a GoldfishError of one line"""
        self.stage(inputs={"a": "npy", "z": "npz"}, outputs={"a": "npy", "z": "npz"})
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.npy", goldfish.save_output("a", [[1.0, 2.0], [3.0, 4.0]]).read_bytes())
        seeds = {
            "a": [goldfish.save_output("a", value).read_bytes() for value in ([[1.5], [2.5]], ["ab", "c"])],
            "z": [goldfish.save_output("z", {"a": [1, 2]}).read_bytes(), packed.getvalue()],
        }
        chance = random.Random(7)
        for round_number in range(1500):
            name = chance.choice("az")
            data = bytearray(chance.choice(seeds[name]))
            for _ in range(chance.randint(1, 4)):
                place = chance.randrange(len(data) + 1)
                pieces = (bytes([chance.randrange(256)]), b"(", b"'", b"-", b"999999999999", b"")
                data[place : place + chance.randint(0, 4)] = chance.choice(pieces)
            (self.inputs / ("a.npy" if name == "a" else "z.npz")).write_bytes(data)
            for plain in (False, True):
                try:
                    goldfish.load_input(name, plain=plain)
                except goldfish.GoldfishError as error:
                    self.assertNotIn("\n", str(error))
                except MemoryError:
                    pass  # of numpy, where a damaged shape asks for more than there is
                except Exception as error:
                    self.fail("round %d, %r: %r" % (round_number, bytes(data), error))
