"""Community checkpoints: whatever architecture spandrel finds in a safetensors file."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from imgtool.api import ModelUnusable, loading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INSTALL = "pip install 'imgtool-sr[spandrel]', or: pip install --no-deps spandrel einops"
# Layers that see the whole input at once: a tile gives them less than the picture would.
WHOLE = ("AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "GroupNorm", "InstanceNorm2d")


def load_checkpoint(path: Path) -> Any:
    """The model in a checkpoint, as spandrel describes it: an `ImageModelDescriptor`, on the CPU.

    Raises
    ------
    ModelUnusable : spandrel is not installed, knows no such architecture, or the model does
        something else than enlarge or restore a picture.
    """
    spandrel = _spandrel()
    from safetensors.torch import load_file

    weights = load_file(path)
    with loading(path):
        try:
            found = spandrel.ModelLoader("cpu").load_from_state_dict(weights)
        except spandrel.UnsupportedModelError:
            names = ", ".join(sorted(weights)[:3])
            raise ModelUnusable(
                f"{str(path)!r} is of no architecture that spandrel {spandrel.__version__} knows",
                f"It holds {len(weights)} tensors: {names}…",
            ) from None
        except AssertionError as err:  # some architectures check shapes so
            raise ValueError(*err.args) from err
    _check(found, path, spandrel)
    return found


def _check(found: Any, path: Path, spandrel: Any) -> None:
    if not isinstance(found, spandrel.ImageModelDescriptor):
        raise ModelUnusable(
            f"{str(path)!r} is a model for inpainting ({found.architecture.name})",
            "Name one for super-resolution or restoration",
        )
    if found.purpose == "FaceSR":
        raise ModelUnusable(
            f"{str(path)!r} restores faces alone ({found.architecture.name})",
            "Name one for super-resolution or restoration",
        )
    if found.input_channels not in (1, 3) or found.output_channels != found.input_channels:
        raise ModelUnusable(
            f"{str(path)!r} makes {found.output_channels} channels of {found.input_channels}; "
            "pictures have three, or one at a time"
        )


def whole_picture_layers(net: Any) -> list[str]:
    """Kinds of layers that see all of their input, so that tiles can never equal the whole."""
    return sorted({type(layer).__name__ for layer in net.modules()} & set(WHOLE))


def _spandrel() -> Any:
    if find_spec("spandrel") is None:
        raise ModelUnusable("community checkpoints need spandrel, which is not installed", INSTALL)
    with _torchvision_or_stand_in():
        try:
            import spandrel
        except ImportError as err:
            raise ModelUnusable(f"spandrel cannot be imported: {err}", INSTALL) from err
    return spandrel


@contextmanager
def _torchvision_or_stand_in() -> Iterator[None]:
    """Let spandrel import without torchvision.

    It imports all its architectures, of which LaMa (inpainting) and RestoreFormer (faces) ask for
    functions of torchvision. Neither is run here: see `_check`.
    """
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    if find_spec(names[0]) is not None:
        yield
        return
    stand_ins = {name: ModuleType(name) for name in names}
    for asked in ("InterpolationMode", "rotate", "normalize"):
        setattr(stand_ins[names[-1]], asked, None)
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
