"""A view to a folder: pictures, masks and depth as files, a record an example, a manifest.

Examples are written one by one into a working folder that outlives a kill, each record after the
files that it names; in the end they are moved, each record before its files. So what has a record
in the working folder is whole, and the same command makes what has none.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from torch import Tensor

from imgtool.api import write_file
from imgtool_tabletop.views.files import ENCODINGS, IN_RECORD, SCHEMA, layer_files, record_of
from imgtool_tabletop.views.view import Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from imgtool_tabletop.views.view import View

REPORT_EVERY = 100


def write_view(
    view: View[Any], out_dir: Path, work_dir: Path, report: Callable[[str], None]
) -> None:
    """Fill `out_dir` with the first `params.count` examples; goes on where it was stopped.

    What `work_dir` holds of other parameters is left alone; more examples of the same parameters
    are added to those that are there.
    """
    begun = work_dir / _key(view)
    count = view.params.count
    for index in range(count):
        if not _record_path(begun, index).exists():
            _write_example(view, index, begun)
        if (index + 1) % REPORT_EVERY == 0:
            report(f"{index + 1} of {count} examples")
    for name in ("records", *(layer.name for layer in view.layers if layer.kind not in IN_RECORD)):
        (out_dir / name).mkdir()
    rows = "".join(_json(_moved(view, index, begun, out_dir)) for index in range(count))
    write_file(out_dir / "rows.jsonl", rows.encode())
    manifest = json.dumps(manifest_of(view), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    write_file(out_dir / "manifest.json", manifest.encode())


def manifest_of(view: View[Any]) -> dict[str, Any]:
    """What the folder holds, how it was made and how to read it."""
    return {
        "schema": SCHEMA,
        "maker": f"data.tabletop/{view.name}",
        "view": view.name,
        "version": view.version,
        "imgtool-tabletop": version("imgtool-tabletop"),
        "params": asdict(view.params),
        "layers": {
            layer.name: {
                "kind": str(layer.kind),
                "encoding": ENCODINGS[layer.kind],
                "meaning": layer.meaning,
            }
            for layer in view.layers
        },
    }


def id_of(index: int) -> str:
    """The id of an example, as in the names of its files."""
    return f"{index:08}"


def _record_path(folder: Path, index: int) -> Path:
    return folder / "records" / f"{id_of(index)}.json"


def _write_example(view: View[Any], index: int, folder: Path) -> None:
    example = view.example(index)
    names: dict[str, list[str]] = {}
    for layer in view.layers:
        value = example.values[layer.name]
        if layer.kind not in IN_RECORD and isinstance(value, Tensor):
            files = layer_files(layer, value, id_of(index))
            names[layer.name] = list(files)
            for name, data in files.items():
                write_file(folder / name, data)
    record = record_of(example, view.layers, names)
    write_file(_record_path(folder, index), _json(record).encode())


def _moved(view: View[Any], index: int, begun: Path, out_dir: Path) -> dict[str, Any]:
    """Take an example to its place; returns what `imgtool image.read` needs to know of it."""
    path = _record_path(out_dir, index)
    _record_path(begun, index).rename(path)
    record = json.loads(path.read_text())
    for names in record["files"].values():
        for name in names:
            (begun / name).rename(out_dir / name)
    picture = next(layer.name for layer in view.layers if layer.kind is Kind.PICTURE)
    prompt = {"prompt": record["caption"]} if "caption" in record else {}
    return {"id": id_of(index), "path": record["files"][picture][0], **prompt}


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False) + "\n"


def _key(view: View[Any]) -> str:
    """A name for everything that examples depend on: not how many there are."""
    params = {name: value for name, value in asdict(view.params).items() if name != "count"}
    said = json.dumps([view.name, view.version, params], sort_keys=True)
    return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()
