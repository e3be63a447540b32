"""Every JSON document that imgtool writes has a schema, and keeps to it; the store's page is true.

Documents are those that real commands write, with the toy plugin.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from imgtool import recipe, stream
from imgtool.pictures import metadata
from imgtool.store import keys
from schemas import CLOSED, ROOT, SCHEMAS, closed, faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Some thirty commands run before the first test.
pytestmark = pytest.mark.timeout(900)

PAGE = ROOT / "docs" / "reference" / "store-layout.md"
ID = re.compile(r'"imgtool\.([a-z-]+)/(\d+)"')

# Documents that say their version otherwise, or have that of the layout.
STORED = ("root", "instance", "batch", "array", "run", "pack")
OTHER = {
    f"stream-{stream.VERSION}",
    f"record-{metadata.SCHEMA}",
    f"recipe-{recipe.FORMAT}",
    *(f"store-{part}-{keys.FORMAT}" for part in STORED),
}

# What a page writes and no command, tests/report/test_vote.py holds to its schema; what commands of
# plugins write, the plugins' own tests.
OF_PLUGINS = {"prune-1", "set-measure-1", "suite-1", "bench-1"} | {
    f"bench-{name}-1" for name in ("compare", "subset", "agree")
}
BY_COMMANDS = sorted(SCHEMAS.keys() - {"votes-1"} - OF_PLUGINS)

PIPELINES = """
[demo]
description = "the reddest of all"
[demo.models.stone]
use = "carve.toy"
[[demo.stage]]
use = "draw.toy"
n = 2
[[demo.stage]]
use = "upper.toy"
[[demo.stage]]
use = "score.red"
[[demo.stage]]
name = "first"
use = "select.top"
by = "score.red"
k = 3
"""
ROWS = """{"prompt": "a cube", "note": NaN, "schema": "mine", "at": "home", "seed": 5}
{"prompt": "a cone", "tags": ["x", {"y": 1}]}
{"prompt": "please fail"}
"""
BROKEN = """
from imgtool.api import Component, Stage, hookimpl

@hookimpl
def imgtool_components():
    yield Component("stage", "odd.file", f"{__file__}:Odd", "Do nothing.")

class Odd(Stage[None]):
    id, version, summary = "odd.other", 1, "Do nothing."
"""


def strict(text: str) -> Any:
    """JSON as any program reads it: without NaN."""

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


class Workshop:
    """A folder in which real commands run, and what they wrote: schema to its documents."""

    def __init__(self, folder: Path, site: Path, python: Path) -> None:
        self.folder = folder
        self.python = python
        self.written: dict[str, list[Any]] = {}
        own = {"PYTHONPATH": str(site), "IMGTOOL_PLUGINS": "toy-stages"}
        places = {"IMGTOOL_CACHE": str(folder / "cache"), "IMGTOOL_CONFIG": str(folder / "config")}
        self.env = {**os.environ, **own, **places}

    def __call__(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self.python, "-m", "imgtool", *arguments],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=240,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done

    def keep(self, name: str, *documents: object) -> None:
        self.written.setdefault(name, []).extend(documents)

    def keep_lines(self, text: str, name: str = "") -> None:
        """Keep lines of JSON under the schema that each of them names, or under `name`."""
        for line in map(strict, text.splitlines()):
            self.keep(name or re.sub(r"imgtool\.(.*)/", r"\1-", line["schema"]), line)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, toy_site: Path, light_bin: Path) -> Workshop:
    """Runs with all kinds of rows in `s.zarr`, their pictures in `out/`, and their documents."""
    shop = Workshop(tmp_path_factory.mktemp("shop"), toy_site, light_bin / "python")
    for name, text in {"pipelines.toml": PIPELINES, "rows.jsonl": ROWS, "odd.py": BROKEN}.items():
        (shop.folder / name).write_text(text)
    _run(shop)
    _list(shop)
    _look(shop)
    return shop


def _run(shop: Workshop) -> None:
    demo = ("run", "demo", "rows.jsonl", "--store", "s.zarr")
    shop.keep_lines(shop(*demo, "--plan", "--json").stdout)
    done = shop(*demo, "-o", "out/{id}.png", "--json", "--progress", "json", status=1)
    shop.keep_lines(done.stdout)
    shop.keep_lines("".join(s for s in done.stderr.splitlines(True) if s.startswith("{")))
    draw = ("draw.toy", "rows.jsonl", "-n", "3")
    shop.keep_lines(shop(*draw, status=1).stdout, "stream-1")
    shop.keep_lines(shop(*draw, "--json", status=1).stdout)
    shop("score.red", "out/0.1.png", "out/1.0.png", "--store", "s.zarr", "--name", "files")
    shop.keep_lines(shop("run", "none", "--progress", "json", status=2).stderr)


def _list(shop: Workshop) -> None:
    for words in (
        "pipeline list", "pipeline check demo", "show demo", "stages draw.toy carve.toy", "models",
        "plugin list", "doctor", "carve.toy -o model", "store ls s.zarr", "store show s.zarr",
        "store gc s.zarr --dry-run", "show s.zarr", "show out/0.1.png",
    ):  # fmt: skip
        shop.keep_lines(shop(*words.split(), "--json").stdout)
    shop.keep_lines(shop("plugin", "check", "odd.py", "--json", status=1).stdout)


def _look(shop: Workshop) -> None:
    """Keep what is in files: the store, a damaged copy of it, a pack, a picture."""
    for path in sorted((shop.folder / "s.zarr").rglob("zarr.json")):
        found = strict(path.read_text())
        depth = len(path.relative_to(shop.folder / "s.zarr").parts)
        in_runs = path.is_relative_to(shop.folder / "s.zarr" / "runs")
        if found["node_type"] == "array":
            shop.keep("store-array-1", found)
        elif found["attributes"]:  # all groups have some but `runs`
            name = ("root", "instance", "run" if in_runs else "batch")[depth - 1]
            shop.keep(f"store-{name}-1", found["attributes"])
    shop("store", "pack", "s.zarr", "--run", "demo", "-o", "packed")
    shop.keep("store-pack-1", strict((shop.folder / "packed/zarr.json").read_text())["attributes"])
    with Image.open(shop.folder / "out" / "0.1.png") as picture:
        record = strict(picture.info["imgtool"])
    shop.keep("record-1", record)
    shop.keep("recipe-1", record["recipe"])
    shop("draw.toy", "a", "--store", "bad.zarr")
    for chunk in (shop.folder / "bad.zarr").glob("draw-*/*/*/c/0/0/0/0"):
        chunk.write_bytes(b"")
    shop.keep_lines(shop("store", "verify", "bad.zarr", "--json", status=1).stdout)


def test_every_schema_has_the_name_of_its_file() -> None:
    for name, schema in SCHEMAS.items():
        Draft202012Validator.check_schema(schema)
        kind, _, version = name.rpartition("-")
        assert (schema["$id"], schema["title"]) == (
            f"urn:imgtool:{kind}:{version}",
            f"imgtool.{kind}/{version}",
        )
        assert f"schemas/{name}.json)" in PAGE.read_text(), f"the page does not name {name}"


def test_every_schema_of_the_source_has_a_file_and_every_file_is_used() -> None:
    patterns = ("src/**/*.py", "src/**/*.js", "plugins/*/src/**/*.py")
    sources = [path for pattern in patterns for path in ROOT.glob(pattern)]
    said = {f"{kind}-{n}" for path in sources for kind, n in ID.findall(path.read_text())}
    assert set(SCHEMAS) == said | OTHER


@pytest.mark.parametrize("name", BY_COMMANDS)
def test_what_commands_write_fits_its_schema(name: str, workshop: Workshop) -> None:
    for document in workshop.written[name]:
        assert faults(name, document) == [], json.dumps(document)[:500]


@pytest.mark.parametrize("name", BY_COMMANDS)
def test_a_schema_refuses_a_document_that_lacks_a_member(name: str, workshop: Workshop) -> None:
    for document in workshop.written[name]:
        members = [{k: v for k, v in document.items() if k != gone} for gone in document]
        assert any(faults(name, less) for less in members)


def alternatives(name: str) -> Iterator[dict[str, Any]]:
    """The forms of a document that come in several."""
    yield from SCHEMAS[name].get("oneOf", ())


@pytest.mark.parametrize("name", [name for name in SCHEMAS if any(alternatives(name))])
def test_every_form_of_a_document_is_tried(name: str, workshop: Workshop) -> None:
    for number, form in enumerate(alternatives(name)):
        shape = closed(form)
        shape["$defs"] = closed(SCHEMAS[name].get("$defs", {}))
        check = Draft202012Validator(shape, registry=CLOSED)
        assert any(map(check.is_valid, workshop.written[name])), f"form {number} never comes"


def test_arrays_of_a_pack_say_which_rows_they_hold(workshop: Workshop) -> None:
    for path in (workshop.folder / "packed").glob("*/zarr.json"):
        found = strict(path.read_text())["attributes"]
        assert faults("store-pack-1", found, "#/$defs/array") == []
        assert path.parent.name == "image.8x8x3"


def reader() -> str:
    """The program in the page."""
    found = re.search(r"<!-- file: read_store.py -->\n```python\n(.*?)```", PAGE.read_text(), re.S)
    assert found
    return found[1]


def test_the_reader_in_the_page_needs_zarr_alone_and_fits_a_screen() -> None:
    tree = ast.parse(reader())
    names = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    assert names == {"hashlib", "sys", "zarr"}
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
    before_use = reader().partition("if __name__")[0]
    lines = [line for line in before_use.splitlines() if line and "import" not in line]
    assert len(lines) <= 30


@pytest.mark.parametrize("run", ["demo", "files"])
def test_the_reader_in_the_page_reads_rows_and_pictures(run: str, workshop: Workshop) -> None:
    import zarr

    names: dict[str, Any] = {"__name__": "read_store"}
    exec(reader(), names)  # the page's own text
    store = zarr.open_group(workshop.folder / "s.zarr", mode="r")
    batches = names["last_batches"](store[f"runs/{run}"].attrs.asdict())
    found = [row for batch in batches for row in names["read_batch"](store, *batch)]
    shown = workshop("show", "s.zarr", "--run", run, "--json").stdout.splitlines()
    expected = [line for line in map(strict, shown) if "failure" not in line]
    assert expected
    assert [row["id"] for row in found] == [line["id"] for line in expected]
    for row, line in zip(found, expected, strict=True):
        assert row["seed"] == line["seed"]
        assert row["score.red"] == line["score.red"]
        with Image.open(workshop.folder / row.get("path", f"out/{row['id']}.png")) as picture:
            np.testing.assert_array_equal(row["image"], np.asarray(picture))
