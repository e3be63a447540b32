"""From a resolved model to a pipeline ready to sample: class, weights, LoRAs, device."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from imgtool.api import BadParams, ModelUnusable, UnknownComponent, loading, quiet_libraries
from imgtool_generate.classes import TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import torch

    from imgtool.api import Runtime

# Never used here: what they judge is a decoded picture, and decoding is another stage.
UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
# Kind of component with which plugins name modules whose classes model folders may ask for.
CLASSES = "diffusers-classes"


def load_pipeline(
    ref: str,
    loras: Sequence[str],
    offload: str,
    runtime: Runtime,
    sparse_kernels: bool = False,
) -> Any:
    """The pipeline of a model, its weights shared with other stages, itself the caller's own.

    Raises
    ------
    ModelUnusable : it cannot be loaded, or draws no latents.
    BadParams : sparse kernels are asked for, and cannot be had.
    """
    if sparse_kernels:
        from imgtool_generate.sparse import check_sparse_kernels

        check_sparse_kernels(offload, runtime)
    model = runtime.model(ref, "text-to-image")
    whole = model.whole
    active = [(lora, weight) for lora, weight in map(runtime.lora, loras) if weight]
    if model.base:
        active.insert(0, (model, 1.0))
    key = (
        "pipeline", model.digest, str(runtime.torch_device), str(runtime.torch_dtype), offload,
        runtime.attention_backend, sparse_kernels,
        tuple((lora.digest, weight) for lora, weight in active),
    )  # fmt: skip

    def load() -> Any:
        if whole.kind == "single-file":
            pipe = _from_single_file(whole.path, runtime)
        else:
            pipe = _from_folder(whole.path, runtime, share_vae=offload == "none")
        _add_loras(pipe, [(lora.path, weight) for lora, weight in active])
        if model.base and (model.path / "scheduler").is_dir():
            pipe.scheduler = _scheduler(model.path / "scheduler")
        _place(pipe, offload, runtime)
        if sparse_kernels:
            _take_sparse_kernels(pipe, ref)
        return pipe

    # A pipeline keeps its scheduler's state; the copy has its own, over the same nets.
    return copy.copy(runtime.load_once(key, load))


def load_vae(ref: str, runtime: Runtime, dtype: torch.dtype) -> Any:
    """The autoencoder of a model, shared with the pipelines of the same dtype.

    Raises
    ------
    ModelUnusable : the model has none, or it cannot be loaded.
    """
    model = runtime.model(ref, "text-to-image").whole
    if model.kind == "single-file":
        pipe = load_pipeline(ref, (), "none", runtime)
        return pipe.vae if pipe.vae.dtype == dtype else copy.deepcopy(pipe.vae).to(dtype)
    return _shared_vae(model.path, runtime, dtype)


def model_index(folder: Path) -> dict[str, Any]:
    """`model_index.json` of a diffusers folder."""
    index: dict[str, Any] = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    return index


def _shared_vae(folder: Path, runtime: Runtime, dtype: torch.dtype) -> Any:
    library, name = (model_index(folder).get("vae") or (None, None))[:2]
    if not name:
        raise ModelUnusable(f"{str(folder)!r} has no autoencoder", "It cannot be decoded here")
    key = ("vae", str(folder.resolve()), str(runtime.torch_device), str(dtype))

    def load() -> Any:
        quiet_libraries("transformers", "diffusers")
        import diffusers

        if library != "diffusers" or not hasattr(diffusers, name):
            raise ModelUnusable(f"{str(folder)!r}: autoencoder {name!r} is not one of diffusers")
        cls = getattr(diffusers, name)
        with loading(folder):
            vae = cls.from_pretrained(
                folder, subfolder="vae", dtype=dtype, use_safetensors=True,
                local_files_only=True,
            )  # fmt: skip
        return vae.to(runtime.torch_device).eval()

    return runtime.load_once(key, load)


def _from_folder(folder: Path, runtime: Runtime, share_vae: bool) -> Any:
    index = model_index(folder)
    cls = _pipeline_class(str(index.get("_class_name", "")), folder)
    _import_classes(index, runtime)
    given: dict[str, Any] = {
        name: None for name, entry in index.items() if name in UNUSED or entry == [None, None]
    }
    if "safety_checker" in index:
        given["safety_checker"] = None
        given["requires_safety_checker"] = False
    # Offloading moves its nets about, which a decoder that shares one would not survive.
    if index.get("vae") and share_vae:
        given["vae"] = _shared_vae(folder, runtime, runtime.torch_dtype)
    with loading(folder):
        return cls.from_pretrained(
            folder, dtype=runtime.torch_dtype, use_safetensors=True, local_files_only=True,
            trust_remote_code=False, **given,
        )  # fmt: skip


def _import_classes(index: Mapping[str, Any], runtime: Runtime) -> None:
    """Import the modules that `index` names and plugins answer for; diffusers refuses all others.

    Raises
    ------
    BrokenPlugin : a module cannot be imported.
    """
    asked = {str(entry[0]) for entry in index.values() if isinstance(entry, list) and any(entry)}
    for library in sorted(asked - {"diffusers", "transformers"}):
        with suppress(UnknownComponent):
            runtime.component(CLASSES, library)


def _pipeline_class(name: str, folder: Path) -> Any:
    """The class to load `folder` with: the text-to-image one of its family."""
    quiet_libraries("transformers", "diffusers")
    import diffusers

    facts = TABLE.get(name)
    if facts is not None and facts.why_not:
        raise ModelUnusable(f"{str(folder)!r} is a {name}: {facts.why_not}", "Name another model")
    if facts is not None:
        # Importing AutoPipeline imports all the pipelines there are.
        return getattr(diffusers, name)
    if not hasattr(diffusers, name):
        raise ModelUnusable(
            f"{str(folder)!r}: {name or 'no class'!r} is no pipeline of diffusers "
            f"{diffusers.__version__}",
            "A newer diffusers may have it; code that comes with models is never run",
        )
    from diffusers.pipelines.auto_pipeline import (
        AUTO_TEXT2IMAGE_PIPELINES_MAPPING,
        _get_task_class,
    )

    try:
        return _get_task_class(AUTO_TEXT2IMAGE_PIPELINES_MAPPING, name)
    except ValueError:
        return getattr(diffusers, name)


def _from_single_file(path: Path, runtime: Runtime) -> Any:
    """A checkpoint of one file; its configuration from the folder of the same name beside it."""
    quiet_libraries("transformers", "diffusers")
    import diffusers
    from diffusers.loaders.single_file_utils import (
        infer_diffusers_model_type,
        load_single_file_checkpoint,
    )

    kind = infer_diffusers_model_type(load_single_file_checkpoint(str(path), local_files_only=True))
    name = next((cls for start, cls in SINGLE_FILE_CLASSES if kind.startswith(start)), "")
    if not name:
        raise ModelUnusable(f"{str(path)!r}: checkpoints of kind {kind!r} are not known here")
    config = path.with_suffix("")
    given = {"config": str(config)} if config.is_dir() else {}
    with loading(path):
        return getattr(diffusers, name).from_single_file(
            str(path), dtype=runtime.torch_dtype, local_files_only=runtime.offline, **given
        )


def _scheduler(folder: Path) -> Any:
    """The scheduler that a folder of its own describes."""
    import diffusers

    with loading(folder):
        config = json.loads((folder / "scheduler_config.json").read_text(encoding="utf-8"))
        name = str(config["_class_name"])
        if not name.endswith("Scheduler") or not hasattr(diffusers, name):
            raise ModelUnusable(f"{str(folder)!r}: {name!r} is no scheduler of diffusers")
        return getattr(diffusers, name).from_config(config)


SINGLE_FILE_CLASSES = (
    ("xl_", "StableDiffusionXLPipeline"),
    ("playground", "StableDiffusionXLPipeline"),
    ("sd3", "StableDiffusion3Pipeline"),
    ("flux", "FluxPipeline"),
    ("v1", "StableDiffusionPipeline"),
    ("v2", "StableDiffusionPipeline"),
)


def _add_loras(pipe: Any, loras: Sequence[tuple[Path, float]]) -> None:
    if not loras:
        return
    if not hasattr(pipe, "load_lora_weights"):
        raise ModelUnusable(f"{type(pipe).__name__} takes no LoRA")
    names = [f"lora{index}" for index in range(len(loras))]
    for name, (path, _) in zip(names, loras, strict=True):
        with loading(path):
            folder, file = (path, None) if path.is_dir() else (path.parent, path.name)
            pipe.load_lora_weights(
                str(folder), weight_name=file, adapter_name=name, use_safetensors=True,
                local_files_only=True,
            )  # fmt: skip
        if not any(name in found for found in pipe.get_list_adapters().values()):
            raise ModelUnusable(
                f"{str(path)!r} is of another family: it has no weights for {type(pipe).__name__}",
                "Name a LoRA that was made for this model",
            )
    pipe.set_adapters(names, [weight for _, weight in loras])


def _take_sparse_kernels(pipe: Any, ref: str) -> None:
    from imgtool_generate.sparse import use_sparse_kernels

    nets = [pipe.components.get(name) for name in ("unet", "transformer")]
    if not sum(use_sparse_kernels(net) for net in nets if net is not None):
        raise BadParams(
            f"no layer of {ref!r} is 2:4 sparse, in a shape that sparse kernels take",
            "imgtool prune.obs --pattern 2:4 makes such a model",
        )


def _place(pipe: Any, offload: str, runtime: Runtime) -> None:
    pipe.set_progress_bar_config(disable=True)
    runtime.choose_attention(pipe)
    if offload == "none" or runtime.torch_device.type == "cpu":
        pipe.to(runtime.torch_device)
    elif offload == "model":
        pipe.enable_model_cpu_offload(device=runtime.torch_device)
    else:
        pipe.enable_sequential_cpu_offload(device=runtime.torch_device)
