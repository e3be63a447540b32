"""Model references: what is accepted, what is refused, and how models are identified."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import pytest

from imgtool.errors import ModelUnusable, NeedsConsent
from imgtool.registry import Registry
from imgtool.runtime.digest import digest
from imgtool.runtime.models import (
    LoraRef,
    cached_snapshot,
    looks_like_hub_id,
    parse_lora,
    resolve_model,
)

if TYPE_CHECKING:
    from pathlib import Path


def write_safetensors(path: Path, values: bytes = b"\0" * 8) -> Path:
    """A safetensors file with one tensor, written by hand."""
    entry = {"dtype": "F32", "shape": [len(values) // 4], "data_offsets": [0, len(values)]}
    header = json.dumps({"weight": entry}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + values)
    return path


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """A folder that looks like a diffusers pipeline of one net."""
    folder = tmp_path / "model"
    write_safetensors(folder / "unet" / "diffusion_pytorch_model.safetensors")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text("{}")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "safety_checker": [None, None],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGTOOL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def test_folder_is_accepted(pipeline: Path) -> None:
    model = resolve_model(str(pipeline), "text-to-image")
    assert (model.kind, model.path) == ("folder", pipeline)
    assert len(model.digest) == 32


def test_folder_without_weights_is_refused_by_component(pipeline: Path) -> None:
    (pipeline / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelUnusable, match="component 'unet' has no weights"):
        resolve_model(str(pipeline), "text-to-image")


def test_pickle_weights_are_refused(pipeline: Path) -> None:
    weights = pipeline / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ModelUnusable, match="pickle"):
        resolve_model(str(pipeline), "text-to-image")


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".bin"])
def test_pickle_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"x")
    with pytest.raises(ModelUnusable, match="pickle"):
        resolve_model(str(path), "text-to-image")


def test_truncated_weights_are_refused(pipeline: Path) -> None:
    weights = pipeline / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(ModelUnusable, match="truncated"):
        resolve_model(str(pipeline), "text-to-image")


def test_cut_header_is_refused(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "one.safetensors")
    path.write_bytes(path.read_bytes()[:12])
    with pytest.raises(ModelUnusable, match="truncated"):
        resolve_model(str(path), "text-to-image")


def test_folder_without_index_is_no_pipeline(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "net" / "model.safetensors")
    with pytest.raises(ModelUnusable, match=r"model_index\.json"):
        resolve_model(str(tmp_path / "net"), "text-to-image")
    assert resolve_model(str(tmp_path / "net"), "clip").kind == "folder"


def test_unknown_name_is_refused() -> None:
    with pytest.raises(ModelUnusable, match="no model 'nothing'"):
        resolve_model("nothing", "text-to-image")


def test_hub_model_that_is_not_here_needs_consent() -> None:
    with pytest.raises(NeedsConsent, match="owner/name"):
        resolve_model("owner/name", "text-to-image")


@pytest.mark.parametrize("offline", [True, False])
def test_weights_that_a_plugin_does_not_bring_are_not_looked_for_elsewhere(offline: bool) -> None:
    registry = Registry.load()

    with pytest.raises(ModelUnusable, match="'tabletop/none': imgtool-tabletop has none"):
        resolve_model("tabletop/none", "depth-estimation", registry, offline)


def test_a_model_of_another_task_is_refused_by_name() -> None:
    with pytest.raises(ModelUnusable, match="'tabletop/clip' is for image-text-sim") as caught:
        resolve_model("tabletop/clip", "text-to-image", Registry.load())

    assert caught.value.hint == (
        "Models here for text-to-image: tabletop, tabletop/mmdit, tabletop/turbo"
    )


def to_hub(folder: Path, hub: Path, name: str) -> Path:
    """Move a folder to where the hub's cache has a model of that name."""
    model = hub / f"models--owner--{name}"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("abc123")
    (model / "snapshots").mkdir()
    return folder.rename(model / "snapshots" / "abc123")


def test_hub_model_is_taken_from_the_local_cache(pipeline: Path, tmp_path: Path) -> None:
    to_hub(pipeline, tmp_path / "hub", "name")
    resolved = resolve_model("owner/name", "text-to-image")
    assert (resolved.kind, resolved.digest) == ("hub", "owner/name@abc123")
    assert cached_snapshot("owner/name", "abc123") == resolved.path
    assert cached_snapshot("owner/name", "other") is None


def adapter(folder: Path, base: str) -> str:
    """A folder with a LoRA that names a model."""
    write_safetensors(folder / "pytorch_lora_weights.safetensors")
    (folder / "imgtool.json").write_text(json.dumps({"base": base, "steps": 4}))
    return str(folder)


def test_a_lora_that_names_its_base_is_a_model(pipeline: Path, tmp_path: Path) -> None:
    base = to_hub(pipeline, tmp_path / "hub", "name")
    turbo = resolve_model(adapter(tmp_path / "turbo", "owner/name"), "text-to-image")
    assert (turbo.path, turbo.whole.path) == (tmp_path / "turbo", base)
    assert turbo.advice["steps"] == 4
    assert turbo.digest.endswith("+owner/name@abc123")
    assert turbo.weight_bytes == 2 * turbo.whole.weight_bytes


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("../model", "no alias and no hub id"),
        ("owner/other", "not in the hub's local cache"),
        ("owner/lora", "which is one itself"),
    ],
)
def test_a_lora_of_no_usable_base_is_refused(base: str, message: str, tmp_path: Path) -> None:
    adapter(tmp_path / "lora", "owner/name")
    to_hub(tmp_path / "lora", tmp_path / "hub", "lora")
    with pytest.raises((ModelUnusable, NeedsConsent), match=message):
        resolve_model(adapter(tmp_path / "turbo", base), "text-to-image")


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000])
def test_broken_advice_is_one_line(text: str, pipeline: Path) -> None:
    (pipeline / "imgtool.json").write_text(text)
    with pytest.raises(ModelUnusable, match=r"imgtool\.json' is not"):
        resolve_model(str(pipeline), "text-to-image")


def test_digest_follows_content_not_names_of_single_files(tmp_path: Path) -> None:
    one = write_safetensors(tmp_path / "a.safetensors")
    two = write_safetensors(tmp_path / "b.safetensors")
    other = write_safetensors(tmp_path / "c.safetensors", b"\1" * 8)
    assert digest(one) == digest(two) != digest(other)


def test_digest_sees_a_changed_file(pipeline: Path) -> None:
    before = digest(pipeline)
    assert digest(pipeline) == before
    write_safetensors(pipeline / "unet" / "diffusion_pytorch_model.safetensors", b"\1" * 8)
    assert digest(pipeline) != before


def test_lora_weight_is_read_after_the_last_colon() -> None:
    assert parse_lora("style.safetensors:0.5") == LoraRef("style.safetensors", 0.5)
    assert parse_lora("style.safetensors") == LoraRef("style.safetensors", 1.0)
    assert parse_lora("C:/style.safetensors") == LoraRef("C:/style.safetensors", 1.0)


def test_lora_is_resolved_without_its_weight(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "style.safetensors")
    assert resolve_model(f"{path}:0.5", "lora").path == path


@pytest.mark.parametrize("name", ["../x", "./x", "a/b/c", "a", "/a", "a/b c"])
def test_paths_are_no_hub_ids(name: str) -> None:
    assert not looks_like_hub_id(name)
