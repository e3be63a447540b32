"""From a model reference as written to files that are whole, safe and identified."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from imgtool.errors import ModelUnusable, NeedsConsent, near
from imgtool.runtime.digest import digest
from imgtool.runtime.weights import (
    UNSAFE_SUFFIXES,
    check_file,
    check_folder,
    read_advice,
    read_index,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgtool.components import Component
    from imgtool.registry import Registry

ModelKind: TypeAlias = Literal["folder", "single-file", "hub"]
# Tasks whose folders are whole diffusers pipelines.
PIPELINE_TASKS = frozenset({"text-to-image"})
HUB_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


@dataclass(frozen=True)
class ResolvedModel:
    """A model that can be loaded.

    Attributes
    ----------
    ref : the reference as written.
    path : folder, or single `.safetensors` file.
    kind : `folder`, `single-file`, or `hub` for a folder of the hub's local cache.
    digest : of the files' content; for the hub `id@commit`.
    hub_id, revision : where a hub model came from; empty for others.
    advice : what its makers advise; see `imgtool.runtime.weights.read_advice`.
    base : the whole model for which this one is a LoRA; None: it is whole itself.
    """

    ref: str
    path: Path
    kind: ModelKind
    digest: str
    hub_id: str = ""
    revision: str = ""
    advice: Mapping[str, object] = field(default_factory=dict, compare=False)
    base: ResolvedModel | None = None

    @property
    def whole(self) -> ResolvedModel:
        """The model with all its nets: the base, or itself."""
        return self.base or self

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights files, those of the base too."""
        files = [self.path] if self.path.is_file() else self.path.rglob("*.safetensors")
        own = sum(file.stat().st_size for file in files)
        return own + (self.base.weight_bytes if self.base else 0)


@dataclass(frozen=True)
class LoraRef:
    """A LoRA and how strongly it acts; 0 is not at all, 1 as trained."""

    ref: str
    weight: float = 1.0


def parse_lora(text: str) -> LoraRef:
    """`path:weight`, or `path` alone for weight 1."""
    ref, colon, weight = text.rpartition(":")
    try:
        return LoraRef(ref, float(weight)) if colon and ref else LoraRef(text)
    except ValueError:
        # The colon was part of the path, as in a Windows drive.
        return LoraRef(text)


def resolve_model(
    ref: str, task: str, registry: Registry | None = None, offline: bool = True
) -> ResolvedModel:
    """The model that `ref` names, checked.

    Parameters
    ----------
    ref : a plugin's alias, a folder, a `.safetensors` file, or a hub id, `owner/name[@revision]`;
        for the task `lora` with or without `:weight`.
    task : what the model must do, as in `ModelRef`.
    registry : knows the aliases; None: there are none.
    offline : whether a hub model must be in the local cache already.

    Raises
    ------
    ModelUnusable : names nothing, holds no weights, or holds them in an unsafe format.
    NeedsConsent : a hub model that is not here, and `offline`.
    """
    name = parse_lora(ref).ref if task == "lora" else ref
    if not name:
        raise ModelUnusable(f"no {task} model is named", "See: imgtool models")
    model = _found(ref, name, task, _aliases(registry), offline)
    if not model.advice.get("base"):
        return model
    return _on_base(model, task, registry, offline)


def _found(
    ref: str, name: str, task: str, aliases: dict[str, Component], offline: bool
) -> ResolvedModel:
    path = Path(name).expanduser()
    if name in aliases:
        _check_task(aliases[name], task, aliases)
        return _local(ref, alias_path(aliases[name]), task)
    if path.exists() or path.suffix == ".safetensors" or path.suffix in UNSAFE_SUFFIXES:
        return _local(ref, path, task)
    if looks_like_hub_id(name):
        _check_owner(name, task, aliases)
        return _hub(ref, name, task, offline, aliases)
    raise ModelUnusable(
        f"no model {name!r}: no alias, folder or file has this name",
        f"{near(name, aliases)}{_here(task, aliases)}",
    )


def _check_task(alias: Component, task: str, aliases: dict[str, Component]) -> None:
    """Refuse a plugin's model of another task where a whole pipeline is asked for.

    Raises
    ------
    ModelUnusable : it does something else.
    """
    made_for = str(alias.meta.get("task") or task)
    if task in PIPELINE_TASKS and made_for != task:
        raise ModelUnusable(
            f"model {alias.name!r} is for {made_for}, not for {task}", _here(task, aliases)
        )


def _here(task: str, aliases: dict[str, Component]) -> str:
    fit = sorted(name for name, alias in aliases.items() if alias.meta.get("task") == task)
    return f"Models here for {task}: {', '.join(fit)}" if fit else f"No {task} model is here"


def _check_owner(name: str, task: str, aliases: dict[str, Component]) -> None:
    """Refuse a hub model named like the models of a plugin: it would be a stranger's.

    Raises
    ------
    ModelUnusable : the plugin has no such model.
    """
    owner = name.partition("/")[0]
    if owner in aliases:
        raise ModelUnusable(
            f"no model {name!r}: {aliases[owner].dist or owner} has none of this name",
            f"{near(name, aliases)}{_here(task, aliases)}",
        )


def _on_base(
    model: ResolvedModel, task: str, registry: Registry | None, offline: bool
) -> ResolvedModel:
    name, aliases = str(model.advice["base"]), _aliases(registry)
    if name not in aliases and not looks_like_hub_id(name):
        raise ModelUnusable(
            f"{str(model.path)!r} is a LoRA for {name!r}, which is no alias and no hub id",
            f"{near(name, aliases)}Correct `base` in its imgtool.json",
        )
    base = _found(name, name, task, aliases, offline)
    if base.advice.get("base"):
        raise ModelUnusable(f"{str(model.path)!r} is a LoRA for {name!r}, which is one itself")
    return replace(model, digest=f"{model.digest}+{base.digest}", base=base)


def looks_like_hub_id(name: str) -> bool:
    """Whether `name` has the form `owner/name[@revision]`."""
    parts = name.split("@", 1)[0].split("/")
    allowed = all(c.isalnum() or c in "-_." for part in parts for c in part)
    return len(parts) == 2 and all(parts) and parts[0] not in (".", "..", "~") and allowed


def alias_path(alias: Component) -> Path:
    """The folder or file that a plugin's alias names, found without importing the plugin.

    Raises
    ------
    ModelUnusable : the plugin is not installed whole.
    """
    package, _, inside = alias.where.partition(":")
    found = find_spec(package.split(".", 1)[0])
    roots = list(found.submodule_search_locations or ()) if found else []
    for root in roots:
        path = Path(root, *package.split(".")[1:], inside)
        if path.exists():
            return path
    raise ModelUnusable(
        f"model {alias.name!r}: its plugin {package!r} holds no {inside!r}",
        "Its weights may not have been made yet; see the plugin's README",
    )


def _aliases(registry: Registry | None) -> dict[str, Component]:
    return {item.name: item for item in registry.components("model")} if registry else {}


def _local(ref: str, path: Path, task: str) -> ResolvedModel:
    if not path.exists():
        raise ModelUnusable(f"model {str(path)!r} does not exist", "Check the path")
    if path.is_file():
        check_file(path)
        return ResolvedModel(ref, path, "single-file", digest(path))
    return ResolvedModel(ref, path, "folder", digest(path), advice=_checked(path, task))


def _checked(folder: Path, task: str) -> dict[str, object]:
    """What a folder's makers advise, if it holds what the task needs."""
    advice = read_advice(folder)
    if task in PIPELINE_TASKS and not advice.get("base"):
        read_index(folder)
    check_folder(folder)
    return advice


def _hub(
    ref: str, name: str, task: str, offline: bool, aliases: dict[str, Component]
) -> ResolvedModel:
    hub_id, _, revision = name.partition("@")
    folder = cached_snapshot(hub_id, revision or "main")
    if folder is None and offline:
        raise NeedsConsent(
            f"model {name!r} is no local path and is not in the hub's local cache",
            f"{near(name, aliases)}Name it in the command itself to allow the download",
        )
    if folder is None:
        folder = _download(hub_id, revision)
    advice, commit = _checked(folder, task), folder.name
    return ResolvedModel(ref, folder, "hub", f"{hub_id}@{commit}", hub_id, commit, advice)


def cached_snapshot(hub_id: str, revision: str) -> Path | None:
    """The folder of a hub model in the local cache, as huggingface_hub lays it out, or None."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    model = cache / f"models--{hub_id.replace('/', '--')}"
    try:
        commit = (model / "refs" / revision).read_text().strip()
    except OSError:
        commit = revision
    folder = model / "snapshots" / commit
    return folder if commit and folder.is_dir() else None


def _download(hub_id: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(hub_id, revision=revision or None, allow_patterns=HUB_PATTERNS)
        )
    except (OSError, ValueError) as err:
        raise ModelUnusable(
            f"model {hub_id!r} is no local path, and the hub does not give it",
            f"Check the name, the revision and the network ({type(err).__name__})",
        ) from err
