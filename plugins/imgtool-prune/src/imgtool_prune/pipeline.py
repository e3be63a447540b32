"""Finding and loading the pipeline to prune."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.api import ModelUnusable, loading, quiet_libraries

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from torch import nn

    from imgtool.api import Runtime

COMPACT = "imgtool_prune.compact"
DENOISERS = ("unet", "transformer")
# They judge decoded pictures; calibration decodes none.
UNUSED = ("safety_checker", "feature_extractor", "image_encoder")


@dataclass(frozen=True)
class Source:
    """The folder of a pipeline.

    Attributes
    ----------
    denoiser : name of its component, `unet` or `transformer`.
    denoiser_class : name of its class.
    library : of the class: diffusers, or what this plugin adds to it.
    advice : steps and guidance that its makers advise; may be empty.
    """

    folder: Path
    pipeline_class: str
    denoiser: str
    denoiser_class: str
    library: str
    advice: Mapping[str, Any]
    index: Mapping[str, Any]


def open_source(ref: str, runtime: Runtime) -> tuple[Source, str]:
    """The folder that `ref` names, and its digest.

    Raises
    ------
    ModelUnusable : it is a single file or a LoRA, or has no denoiser.
    """
    model = runtime.model(ref, "text-to-image")
    if model.base is not None:
        raise ModelUnusable(f"{ref!r} is a LoRA, no whole model", f"Prune {model.base.ref!r}")
    if model.path.is_file():
        raise ModelUnusable(f"{ref!r} is a single file", "Save it as a folder of diffusers first")
    index = json.loads((model.path / "model_index.json").read_text(encoding="utf-8"))
    for name in DENOISERS:
        if name in index:
            advice = model.path / "imgtool.json"
            source = Source(
                folder=model.path,
                pipeline_class=str(index["_class_name"]),
                denoiser=name,
                denoiser_class=str(index[name][1]),
                library=str(index[name][0]),
                advice=json.loads(advice.read_text(encoding="utf-8")) if advice.is_file() else {},
                index=index,
            )
            return source, model.digest
    raise ModelUnusable(f"{ref!r} has no denoiser: neither {' nor '.join(DENOISERS)}")


def skeleton(source: Source) -> nn.Module:
    """The denoiser's shapes, without weights.

    Raises
    ------
    ModelUnusable : diffusers does not know its class, or its config.
    """
    with loading(source.folder, "diffusers"):
        import torch

        family: Any = getattr(_library(source), source.denoiser_class)
        with torch.device("meta"):
            net: nn.Module = family.from_config(
                family.load_config(source.folder / source.denoiser, local_files_only=True)
            )
    return net


def load_pipeline(source: Source, runtime: Runtime) -> Any:
    """The pipeline, on the device and in the dtype of `runtime`; nobody shares its weights.

    Raises
    ------
    ModelUnusable : diffusers cannot load it.
    """
    device: torch.device = runtime.torch_device
    quiet_libraries("transformers", "diffusers")
    import diffusers

    _library(source)
    given: dict[str, Any] = {
        name: None
        for name, entry in source.index.items()
        if name in UNUSED or entry == [None, None]
    }
    if "safety_checker" in given:
        given["requires_safety_checker"] = False
    with loading(source.folder):
        pipe = getattr(diffusers, source.pipeline_class).from_pretrained(
            source.folder, dtype=runtime.torch_dtype, use_safetensors=True,
            local_files_only=True, **given,
        )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    remember_prompts(pipe)
    return pipe.to(device)


def _library(source: Source) -> Any:
    """Where the denoiser's class is; diffusers finds in our module only what is imported."""
    return importlib.import_module(COMPACT if source.library == COMPACT else "diffusers")


def denoiser_of(pipe: Any, source: Source) -> nn.Module:
    """The net to prune."""
    net: nn.Module = getattr(pipe, source.denoiser)
    return net


def remember_prompts(pipe: Any) -> None:
    """Let a pipeline encode the same prompts once: every package runs over all of them."""
    encode = getattr(pipe, "encode_prompt", None)
    if encode is None:
        return
    known: dict[str, Any] = {}

    def encode_once(*args: Any, **given: Any) -> Any:
        asked = repr((args, sorted(given.items())))
        if asked not in known:
            known[asked] = encode(*args, **given)
        return known[asked]

    pipe.encode_prompt = encode_once
