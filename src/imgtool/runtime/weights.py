"""Looking at model files without loading them: are they whole, are they safe, what are they.

Only headers are read here. Nothing in this module imports torch.
"""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any

from imgtool.errors import ModelUnusable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Formats that run code when they are opened.
UNSAFE_SUFFIXES = frozenset({".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle", ".msgpack", ".h5"})
# Component folders of a diffusers model that hold settings only.
WEIGHTLESS_CONFIGS = (
    "scheduler_config.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "processor_config.json",
)
MAX_HEADER_BYTES = 16 << 20
BITS = {
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "F8_E8M0": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64,
}  # fmt: skip


def check_file(path: Path) -> None:
    """Refuse a safetensors file that is cut, and any other weights file.

    Raises
    ------
    ModelUnusable : the file is unsafe, truncated or not safetensors.
    """
    if path.suffix in UNSAFE_SUFFIXES:
        raise ModelUnusable(
            f"{str(path)!r} is a pickle file, which can run code when opened",
            "Convert it to .safetensors; imgtool opens nothing else",
        )
    if path.suffix != ".safetensors":
        raise ModelUnusable(f"{str(path)!r} holds no weights", "A single file must be .safetensors")
    header, start = read_header(path)
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    room = path.stat().st_size - start
    try:
        end = _end_of(tensors)
    except (KeyError, TypeError, ValueError) as err:
        raise ModelUnusable(
            f"{str(path)!r} says what cannot be of its tensors: {err}", "Fetch the file again"
        ) from None
    if not tensors or end > room:
        raise ModelUnusable(f"{str(path)!r} is truncated or empty", "Fetch the file again")


def _end_of(tensors: Mapping[str, Any]) -> int:
    """Bytes that tensors take, which lie one after another without gap or overlap.

    Raises
    ------
    KeyError, TypeError, ValueError : what one of them says is missing, or cannot be.
    """
    end = 0
    for name, entry in sorted(tensors.items(), key=lambda item: item[1]["data_offsets"]):
        begin, stop = entry["data_offsets"]
        if entry["dtype"] not in BITS:
            raise ValueError(f"{name!r} has the unknown dtype {entry['dtype']!r}")
        numbers = [begin, stop, *entry["shape"]]
        if not all(type(n) is int and n >= 0 for n in numbers) or len(numbers) > 34:
            raise ValueError(f"{name!r} has a shape or offsets that are no whole numbers")
        if begin != end or (stop - begin) * 8 != BITS[entry["dtype"]] * math.prod(entry["shape"]):
            raise ValueError(f"{name!r} is not where its shape says")
        end = stop
    return end


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Header of a safetensors file, tensor name to dtype, shape and offsets, and where data starts.

    Raises
    ------
    ModelUnusable : the file is cut, or is not safetensors.
    """
    with path.open("rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else MAX_HEADER_BYTES + 1
        text = file.read(length) if length <= MAX_HEADER_BYTES else b""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise ModelUnusable(
            f"{str(path)!r} is truncated or not a safetensors file", "Fetch the file again"
        )
    return header, 8 + length


def check_folder(folder: Path) -> None:
    """Refuse a model folder that lacks weights, or has them in an unsafe format alone.

    Raises
    ------
    ModelUnusable : says which component.
    """
    index = folder / "model_index.json"
    if not index.is_file():
        _check_component(folder, "the folder")
        return
    for name, entry in read_index(folder).items():
        if _has_weights(folder / name, entry):
            _check_component(folder / name, f"component {name!r}")


def read_index(folder: Path) -> dict[str, object]:
    """`model_index.json` of a diffusers folder.

    Raises
    ------
    ModelUnusable : there is none, or it is not a JSON object.
    """
    path = folder / "model_index.json"
    if not path.is_file():
        raise ModelUnusable(
            f"{str(folder)!r} is not a diffusers model: it has no model_index.json",
            "Name the folder that `save_pretrained` of a pipeline wrote",
        )
    return _read_object(path)


def read_advice(folder: Path) -> dict[str, object]:
    """What the makers of a model advise, from `imgtool.json` in its folder; empty without one.

    `steps` and `guidance` are used where the user says nothing. `base` makes the folder a LoRA for
    the model of that alias or hub id, with a scheduler of its own or not. `captions` says that a
    model which looks at pictures describes them when it is asked nothing.

    Raises
    ------
    ModelUnusable : it is not a JSON object.
    """
    path = folder / "imgtool.json"
    return _read_object(path) if path.is_file() else {}


def _read_object(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as err:
        raise ModelUnusable(f"{str(path)!r} is not valid JSON: {err}") from err
    if not isinstance(found, dict):
        raise ModelUnusable(f"{str(path)!r} is not a JSON object")
    return found


def _has_weights(folder: Path, entry: object) -> bool:
    if not (isinstance(entry, list) and len(entry) == 2 and entry[0]):
        return False
    if any((folder / name).exists() for name in WEIGHTLESS_CONFIGS):
        return False
    class_name = str(entry[1])
    return not class_name.endswith(("Scheduler", "Tokenizer", "TokenizerFast", "Processor"))


def _check_component(folder: Path, what: str) -> None:
    files = [path for path in sorted(folder.glob("*")) if path.is_file()]
    safe = [path for path in files if path.suffix == ".safetensors"]
    if safe:
        for path in safe:
            check_file(path)
        return
    unsafe = [path for path in files if path.suffix in UNSAFE_SUFFIXES]
    if unsafe:
        raise ModelUnusable(
            f"{str(folder)!r}: {what} has pickle weights alone ({unsafe[0].name}), "
            "which can run code when opened",
            "Convert them to .safetensors; imgtool opens nothing else",
        )
    raise ModelUnusable(f"{str(folder)!r}: {what} has no weights", "Expected a .safetensors file")
