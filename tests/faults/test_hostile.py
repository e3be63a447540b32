"""Files made to do harm: each is refused in one line, in little memory, and does nothing else."""

from __future__ import annotations

import json
import struct
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from crowd import crowd
from torture import LIMIT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from crowd import Left
    from torture import Tally

pytestmark = [pytest.mark.faults, pytest.mark.timeout(LIMIT_S)]

USAGE = 2
MIB = 2**20
MOST_MEMORY = 400 * MIB


@dataclass(frozen=True)
class Hostile:
    """A file, and the command that is led to read it.

    Attributes
    ----------
    says : words of the line that refuses it.
    """

    name: str
    data: bytes | Callable[[Path], None] = field(repr=False)
    command: tuple[str, ...]
    says: str

    def write(self, folder: Path) -> None:
        """Make the file."""
        if isinstance(self.data, bytes):
            (folder / self.name).write_bytes(self.data)
        else:
            self.data(folder / self.name)


def check_refused(cases: Iterable[Hostile], folder: Path, status: int = USAGE) -> Counter[str]:
    """Run each case; the peak of memory in MiB is the count of `most MiB`."""
    cases = list(cases)
    for case in cases:
        case.write(folder)
    before = set(folder.rglob("*"))
    outcomes = Counter[str]()
    for case, left in zip(cases, crowd([case.command for case in cases]), strict=True):
        lines = left.err.splitlines()
        assert left.status == status, (case.name, left.status, left.err[:500])
        assert len(lines) == 2 and lines[0].startswith("error: "), (case.name, left.err)
        assert case.says in left.err, (case.name, left.err)
        assert "\x1b" not in left.err, (case.name, left.err)
        assert left.peak < MOST_MEMORY, (case.name, left.peak)
        outcomes["refused in one line"] += 1
        outcomes["most MiB"] = max(outcomes["most MiB"], left.peak // MIB)
    assert set(folder.rglob("*")) == before
    return outcomes


def png(width: int, height: int, *chunks: tuple[bytes, bytes], bits: int = 8) -> bytes:
    """A PNG that claims a size and holds one row of zeros."""
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    every = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(bytes(64))), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in every
    )
    return b"\x89PNG\r\n\x1a\n" + body


def bomb_text(size: int) -> tuple[bytes, bytes]:
    """A compressed text chunk that unpacks to `size` bytes."""
    return b"zTXt", b"parameters\0\0" + zlib.compress(bytes(size), 9)


def sparse(size: int, start: bytes = b"") -> Callable[[Path], None]:
    """A file that is very long and takes no room."""

    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.write(start)
            file.truncate(size)

    return make


def endless(path: Path) -> None:
    """A file without end."""
    path.symlink_to("/dev/zero")


def npy(header: str) -> bytes:
    """A NumPy file with this header and nothing else."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


TIFF = struct.pack("<2sHIH", b"II", 42, 8, 4) + b"".join(
    struct.pack("<HHII", tag, 4, 1, value)
    for tag, value in ((256, 2**31 - 1), (257, 2**31 - 1), (258, 8), (273, 8))
)
BMP = (
    b"BM"
    + struct.pack("<IHHI", 100, 0, 0, 54)
    + struct.pack("<IiiHHI", 40, 65535, -65535, 1, 24, 0)
)
PICTURES = {
    "huge.png": (png(60_000, 60_000), "too many pixels"),
    "largest.png": (png(2**31 - 1, 2**31 - 1, bits=16), "largest.png"),
    "short.png": (png(9_000, 9_000), "short.png"),
    "text.png": (png(8, 8, bomb_text(8 * MIB)), "text.png"),
    "huge.tiff": (TIFF, "huge.tiff"),
    "huge.bmp": (BMP + bytes(40), "huge.bmp"),
    "long.png": (sparse(20 << 30, png(8, 8)[:33]), "too long"),
    "chunk.png": (sparse(1 << 30, png(8, 8)[:33] + b"\x7f\xff\xff\xfftEXt"), "too long"),
}


def test_picture_bombs_are_refused_in_little_memory(world: Path, tally: Tally) -> None:
    cases = [
        Hostile(name, data, ("score.red", name), says) for name, (data, says) in PICTURES.items()
    ]
    shows = [Hostile(c.name, c.data, ("show", c.name), c.says) for c in cases]
    outcomes = check_refused([*cases, *shows], world)
    tally("hostile pictures", len(cases) + len(shows), dict(outcomes))


ARRAYS = {
    "huge.npy": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (999999, 999999, 3)}"),
    "overflow.npy": npy(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({'9' * 30}, 2, 3)}}"),
    "objects.npy": npy("{'descr': '|O', 'fortran_order': False, 'shape': (1, 1, 3)}"),
    "records.npy": npy("{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (0, 1, 3)}"),
    "code.npy": npy("__import__('os').system('touch pwned')"),
    "deep.npy": npy("(" * 9000),
}


def test_array_bombs_are_refused_in_little_memory(world: Path, tally: Tally) -> None:
    cases = [
        Hostile(name, data, ("score.red", "--image", name), name) for name, data in ARRAYS.items()
    ]
    tally("hostile arrays", len(cases), dict(check_refused(cases, world)))


def nested(depth: int, leaf: str = "1") -> str:
    """Lists in lists, as JSON and TOML both write them."""
    return "[" * depth + leaf + "]" * depth


def pipeline(line: str) -> bytes:
    """A pipelines file with a line of its own."""
    return f'[p]\n[[p.stage]]\nuse = "draw.toy"\n{line}\n'.encode()


TABLES = {
    "deep.jsonl": (f'{{"prompt": "a", "x": {nested(100_000)}}}'.encode(), "nested too deeply"),
    "below.jsonl": (f'{{"prompt": "a", "x": {nested(400)}}}'.encode(), "nested too deeply"),
    "digits.jsonl": (f'{{"prompt": "a", "x": {"9" * 5000}}}'.encode(), "too many digits"),
    "seed.jsonl": (b'{"prompt": "a", "seed": 1e999}', "seed"),
    "list.jsonl": (f"{nested(100_000)}".encode(), "nested too deeply"),
    "line.txt": (b"x" * (9 * MIB), "longer than"),
    "long.txt": (sparse(20 << 30), "longer than"),
    "endless.txt": (endless, "longer than"),
    "endless.jsonl": (endless, "longer than"),
    "cell.csv": (b"prompt\n" + b"x" * (2 * MIB) + b"\n", "field larger"),
    "quote.csv": (b'prompt\n"' + b"x\n" * 200_000, "field larger"),
}
PIPELINES = {
    "deep.toml": (pipeline(f"sizes = {nested(100_000)}"), "nested too deeply"),
    "below.toml": (pipeline(f"sizes = {nested(200)}"), "nested too deeply"),
    "digits.toml": (pipeline(f"size = {'9' * 5000}"), "too many digits"),
    "hexadecimal.toml": (pipeline(f"size = 0x{'f' * 4000}"), "size"),
    "infinite.toml": (pipeline("size = inf"), "size"),
    "dotted.toml": (f"{'.'.join('a' * 3000)} = 1\n".encode(), "nested too deeply"),
    "spaces.toml": (pipeline(f"x = [\n[{' ' * 100_000}\n1]]"), "'x'"),
    "long.toml": (sparse(20 << 30), "longer than"),
    "endless.toml": (endless, "longer than"),
}


def test_text_bombs_are_refused_in_little_memory(world: Path, tally: Tally) -> None:
    rows = [Hostile(n, data, ("draw.toy", n), says) for n, (data, says) in TABLES.items()]
    files = [
        Hostile(n, data, ("run", "--file", n, "p", "a"), says)
        for n, (data, says) in PIPELINES.items()
    ]
    outcomes = check_refused([*rows, *files], world)
    tally("hostile rows and pipelines", len(rows) + len(files), dict(outcomes))


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with this header, whose length may be a lie."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(
    begin: object = 0, end: object = 16, shape: object = (2, 2), dtype: object = "F32"
) -> dict[str, object]:
    """What a header says of one tensor; true of sixteen bytes."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


SIXTEEN = bytes(16)
WEIGHTS = {
    "length of all": safetensors({"a": tensor()}, SIXTEEN, length=2**64 - 1),
    "length of 90 MB": safetensors({"a": tensor()}, SIXTEEN, length=90_000_000),
    "length of nothing": safetensors({"a": tensor()}, SIXTEEN, length=0),
    "no length": b"\x01\x02",
    "deep": safetensors(nested(100_000).encode()),
    "a list": safetensors([1]),
    "a number": safetensors(b"7"),
    "a tensor that is text": safetensors({"a": "b"}, SIXTEEN),
    "no offsets": safetensors({"a": {"dtype": "F32", "shape": [2, 2]}}, SIXTEEN),
    "offsets that are text": safetensors({"a": tensor("0", "16")}, SIXTEEN),
    "offsets beyond the file": safetensors({"a": tensor(0, 1600, (20, 20))}, SIXTEEN),
    "negative offsets": safetensors({"a": tensor(-16, 0)}, SIXTEEN),
    "offsets turned round": safetensors({"a": tensor(16, 0)}, SIXTEEN),
    "overlap": safetensors({"a": tensor(), "b": tensor(8, 24)}, bytes(24)),
    "gap": safetensors({"a": tensor(), "b": tensor(32, 48)}, bytes(48)),
    "another dtype": safetensors({"a": tensor(dtype="F64")}, SIXTEEN),
    "unknown dtype": safetensors({"a": tensor(dtype="\x1b]0;pwned\x07")}, SIXTEEN),
    "dtype that is a list": safetensors({"a": tensor(dtype=[])}, SIXTEEN),
    "huge shape": safetensors({"a": tensor(shape=[10**30, 10**30])}, SIXTEEN),
    "shape of floats": safetensors({"a": tensor(shape=[2.0, 2.0])}, SIXTEEN),
    "many dimensions": safetensors({"a": tensor(shape=[1] * 100_000)}, SIXTEEN),
    "numbers without end": safetensors(
        b'{"a":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,16]}}', SIXTEEN
    ),
}


def test_weights_with_a_lying_header_are_refused_before_anything_is_loaded(
    world: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMGTOOL_PLUGINS")
    names = {what: f"{at}.safetensors" for at, what in enumerate(WEIGHTS)}
    cases = [
        Hostile(names[what], data, ("generate", "a", "--model", names[what]), names[what])
        for what, data in WEIGHTS.items()
    ]
    tally("hostile weights", len(cases), dict(check_refused(cases, world)))


def picture_with(record: object) -> Callable[[Path], None]:
    """A small picture that carries a record of our form."""

    def make(path: Path) -> None:
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        text = record if isinstance(record, str) else json.dumps(record)
        chunks = PngInfo()
        chunks.add_itxt("imgtool", text)
        Image.new("RGB", (8, 8)).save(path, "PNG", pnginfo=chunks)

    return make


def recipe(*stages: object, source: object = None, row_id: object = "0") -> dict[str, object]:
    """A record with a recipe of these stages."""
    rows = {"id": "0", "prompt": "a", "seed": 1} if source is None else source
    inside = {"format": 1, "id": row_id, "source": rows, "stages": list(stages)}
    return {"schema": 1, "row": {}, "recipe": inside}


def stage(use: object, **params: object) -> dict[str, object]:
    """One stage of a recipe."""
    return {"use": use, "version": 1, "params": params}


DRAW = stage("draw.toy")
RECIPES = {
    "hub model": (recipe(stage("generate", model="evil/model")), "--consent"),
    "model file": (recipe(stage("generate", model="/tmp/x.safetensors")), "--consent"),
    "model folder": (recipe(stage("generate", model="../..")), "--consent"),
    "lora of the hub": (recipe(stage("generate", lora=["evil/lora:1"])), "--consent"),
    "file to write": (recipe(stage("keep.toy", note="/etc/passwd")), "--consent"),
    "module": (recipe(stage("os:system")), "os"),
    "file as stage": (recipe(stage("./evil.py:Stage")), "evil"),
    "stage that is no text": (recipe(stage(["draw.toy"])), "damaged"),
    "params that are a list": (recipe({"use": "draw.toy", "params": []}), "damaged"),
    "size without end": (recipe(stage("draw.toy", size=10**400)), "size"),
    "size that is not": (recipe(stage("draw.toy", size=float("nan"))), "size"),
    "id that climbs": (recipe(DRAW, source={"id": "../../x", "prompt": "a", "seed": 1}), "id"),
    "seed that is text": (recipe(DRAW, source={"id": "0", "prompt": "a", "seed": "x"}), "seed"),
    "prompt that is a list": (recipe(DRAW, source={"id": "0", "prompt": [1], "seed": 1}), "prompt"),
    "source that is a list": (recipe(DRAW, source=[1]), "damaged"),
    "no stages": (recipe(), "damaged"),
    "a list": ([1], "damaged"),
    "a number": ("7", "damaged"),
    "digits": ("9" * 5000, "damaged"),
    "deep": (nested(100_000), "damaged"),
    "nested": (recipe(stage("draw.toy", size=json.loads(nested(300)))), "damaged"),
    "a recipe that is text": ({"recipe": "x"}, "no recipe"),
    "a format that is text": ({"recipe": {"format": "x"}}, "format"),
}


def test_recipes_that_point_elsewhere_or_are_none_are_refused(
    world: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMGTOOL_PLUGINS")
    cases = [
        Hostile(f"{at}.png", picture_with(record), ("run", "--from", f"{at}.png"), says)
        for at, (record, says) in enumerate(RECIPES.values())
    ]
    tally("hostile recipes", len(cases), dict(check_refused(cases, world)))


ODD = {
    "lists": {"schema": 1, "row": [1], "recipe": [2]},
    "stages": recipe("x", 7, stage("draw.toy", size="\x1b]0;pwned\x07")),
    "row": {"schema": 1, "row": {"prompt": {"a": [1]}, "seed": "\x1b[2J"}, "recipe": {}},
}
A1111 = {
    "name without end": "a\nSteps: " + "a" * 900_000,
    "spaces": "a\nSteps: 4," + " " * 900_000 + "x",
    "quotes": 'a\nSteps: 4, Model: "' + "x" * 900_000,
    "escapes": 'a\nSteps: 4, Model: "\\x", Seed: ' + "9" * 5000 + ", Size: 9999999999x1",
}


def other_program(text: str) -> Callable[[Path], None]:
    """A small picture that carries the text of another program."""

    def make(path: Path) -> None:
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        chunks = PngInfo()
        chunks.add_text("parameters", text)
        Image.new("RGB", (8, 8)).save(path, "PNG", pnginfo=chunks)

    return make


def test_odd_metadata_is_shown_without_harm(world: Path, tally: Tally) -> None:
    made = [picture_with(record) for record in ODD.values()]
    made += [other_program(text) for text in A1111.values()]
    for at, make in enumerate(made):
        make(world / f"{at}.png")
    left = crowd([["show", f"{at}.png"] for at in range(len(made))])
    for item in left:
        assert (item.status, item.err) == (0, ""), item.err
        assert "\x1b" not in item.out
    tally("odd metadata", len(left), {"shown": len(left)})


PAYLOADS = (
    "\x1b]0;pwned\x07",
    "\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\",
    "\x1b[2J\x1b[1;1H",
    "\x1bPq#0\x1b\\",
    "\x9b31m",
    "\x9d0;pwned\x9c",
    "\u202egnp.exe",
    "back\x08\x08\x08",
    "over\rwritten",
)
FORBIDDEN = ("\x1b]", "\x1b[2J", "\x1b[1;1H", "\x1bP", "\x9b", "\x9d", "\u202e", "\x08", "\x07")


def test_escapes_of_prompts_and_files_never_reach_a_terminal(world: Path, tally: Tally) -> None:
    prompts = "".join(json.dumps({"prompt": text, "note": text}) + "\n" for text in PAYLOADS)
    (world / "p.jsonl").write_text(prompts)
    names = [f"x{text.replace('/', '')}.txt" for text in PAYLOADS]
    (world / "bad.toml").write_text(f'["{json.dumps(PAYLOADS[0])[1:-1]}"]\ndescription = "x"\n')
    (world / "named.toml").write_text(
        "[p]\ndescription = " + json.dumps(PAYLOADS[0]) + '\n[[p.stage]]\nuse = "draw.toy"\n'
    )
    picture_with(ODD["stages"])(world / "odd.png")
    commands = [
        ("draw.toy", "p.jsonl", "--store", "s.zarr", "-o", "out/{prompt}.png"),
        ("draw.toy", "p.jsonl", "--store", "s.zarr", "--json"),
        ("draw.toy", "p.jsonl", "--store", "s.zarr", "--plan"),
        ("show", "s.zarr"),
        ("show", "s.zarr", "--json"),
        ("store", "ls", "s.zarr"),
        ("draw.toy", *PAYLOADS, "--name", PAYLOADS[0], "--store", "t.zarr"),
        ("draw.toy", "--", *[f"fail {text}" for text in PAYLOADS]),
        ("store", "ls", "t.zarr"),
        ("store", "show", "t.zarr"),
        *(("draw.toy", name) for name in names),
        *((f"draw{text}", "a") for text in PAYLOADS),
        ("draw.toy", "a", "--size", PAYLOADS[0]),
        ("pipeline", "list", "bad.toml"),
        ("pipeline", "list", "named.toml"),
        ("run", "--file", "named.toml", PAYLOADS[0], "a"),
        ("show", "odd.png"),
        ("show", PAYLOADS[0]),
        ("stages", PAYLOADS[0]),
    ]
    left: list[Left] = crowd(commands, terminal=True)
    for command, item in zip(commands, left, strict=True):
        found = [text for text in FORBIDDEN if text in item.out]
        assert not found, (command, found, item.out)
        assert "Traceback" not in item.out, (command, item.out)
        assert item.status in (0, 1, USAGE), (command, item.out)
    assert any("\r\n" in item.out for item in left), "this was no terminal"
    outcomes = Counter(f"ended with {item.status}" for item in left)
    tally("escapes on a terminal", len(commands), dict(outcomes))
