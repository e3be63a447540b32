"""Writing a pipeline again with other weights, of the same shape or less."""

from __future__ import annotations

import json
import os
import re
import shutil
from typing import TYPE_CHECKING, Any

from imgtool.api import write_file
from imgtool_prune.layout import KEY, composed
from imgtool_prune.pipeline import COMPACT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from imgtool_prune.layout import Cut, Layout
    from imgtool_prune.pipeline import Source

PREFIX = "Pruned"
NOTE = b"""> **Pruned.** What follows is said of the model before. `prune_report.json` says what was
> done to it.

"""


def write_pruned(
    source: Source, weights: Mapping[str, Tensor], cuts: Mapping[str, Cut], folder: Path
) -> None:
    """Copy the pipeline into the empty `folder`, with `weights` in place of the denoiser's own.

    Everything else stays as it is, to the byte; so does a file of which no weight changes. But for
    what was measured of the dense model: the copy has no `figures.json`, and its card says so.

    Parameters
    ----------
    weights : name in the denoiser's state to its new value, of the same shape.
    cuts : what stays of layers, by path; of all others everything.
    """
    shutil.copytree(source.folder, folder, copy_function=_copy, dirs_exist_ok=True)
    (folder / "figures.json").unlink(missing_ok=True)
    card = folder / "README.md"
    if card.is_file():
        write_file(card, _noted(card.read_bytes()))
    for file in sorted((folder / source.denoiser).glob("*.safetensors")):
        _replace(file, weights, cuts)


def _noted(card: bytes) -> bytes:
    """A model card that begins, after its metadata, with `NOTE`."""
    if NOTE in card:
        return card
    metadata = re.match(rb"---\n.*?\n---\n", card, re.DOTALL)
    begin = metadata.end() if metadata else 0
    return card[:begin] + NOTE + card[begin:]


def has_pruned_class(source: Source) -> bool:
    """Whether a class of this plugin loads the denoiser when it has lost heads or neurons."""
    from imgtool_prune import compact

    return _pruned_class(source) in compact.__all__


def _pruned_class(source: Source) -> str:
    return PREFIX + source.denoiser_class.removeprefix(PREFIX)


def write_layout(source: Source, layout: Layout, folder: Path) -> None:
    """Say in a copy of the pipeline which class loads its denoiser, and what it has lost."""
    name = _pruned_class(source)
    index = {**source.index, source.denoiser: [COMPACT, name]}
    file = folder / source.denoiser / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config |= {"_class_name": name, KEY: composed(config.get(KEY, {}), layout)}
    _write_json(folder / "model_index.json", index)
    _write_json(file, config)


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    """As diffusers writes it."""
    write_file(file, (json.dumps(content, indent=2, sort_keys=True) + "\n").encode())


def _copy(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    _sync(target)


def _replace(file: Path, weights: Mapping[str, Tensor], cuts: Mapping[str, Cut]) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(file, framework="pt") as stored:
        metadata = stored.metadata()
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}
    changed = {
        name: weights[name].to(old.dtype).cpu().contiguous()
        for name, old in tensors.items()
        if name in weights and not weights[name].cpu().equal(old)
    }
    for name, whole in tensors.items():
        path, _, leaf = name.rpartition(".")
        if path in cuts:
            keep = cuts[path].weight if leaf == "weight" else cuts[path].bias
            changed[name] = keep(changed.get(name, whole))
    if changed:
        mode = file.stat().st_mode
        save_file({**tensors, **changed}, file, metadata)
        file.chmod(mode)  # safetensors leaves its files to their owner alone
        _sync(file)


def _sync(file: str | Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
