"""Makers run before rows do: weights made once, named by derivation, committed by one rename."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.declared import params_type
from imgtool.engine.digests import execution_marks, input_digest
from imgtool.errors import OutputUnwritable, StageFailed
from imgtool.params import cheap_check, validate
from imgtool.runtime.digest import digest
from imgtool.store.atomic import (
    committed_folder,
    explained,
    make_folder,
    remove_leftovers,
    sync_files,
    write_synced,
)
from imgtool.store.keys import instance_key
from imgtool.store.store import beside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from imgtool.pipeline import MakerUse
    from imgtool.registry import Registry
    from imgtool.runtime.context import Runtime
    from imgtool.specs import Spec
    from imgtool.store import Store

CLAIM_POLL_S = 0.5
NOTE = ".imgtool-made.json"  # hidden: no part of the model and of its digest


@dataclass(frozen=True)
class Derived:
    """A model as a run derives it, made or not.

    Attributes
    ----------
    maker : id of its maker.
    key : name of its derivation; see `derivation_key`.
    folder : where it is, or will be.
    """

    name: str
    maker: str
    params: dict[str, Any]
    key: str
    folder: Path


def derive(
    makers: Sequence[MakerUse], registry: Registry, runtime: Runtime, store: Path
) -> Iterator[Derived]:
    """What `makers` make for a run in the folder `store`, in their order. Nothing is made."""
    found: list[Derived] = []
    for use in makers:
        given = _replaced(use.params, {f"@{m.name}": str(m.folder) for m in found})
        written = _replaced(use.params, {f"@{m.name}": f"@{m.name}={m.key}" for m in found})
        spec = registry.spec("maker", use.use)
        params = cheap_check(spec, given)
        key = derivation_key(spec, params, written, runtime)
        folder = beside(store) / "models" / key
        found.append(Derived(use.name, spec.id, params, key, folder))
        yield found[-1]


def make_models(
    makers: Sequence[MakerUse], registry: Registry, runtime: Runtime, store: Store
) -> dict[str, tuple[str, str]]:
    """Maker name to (path of the model folder, key of its derivation)."""
    made: dict[str, tuple[str, str]] = {}
    for item in derive(makers, registry, runtime, store.path):
        while not item.folder.exists():
            claim = store.claim(item.key)
            if claim is None:
                time.sleep(CLAIM_POLL_S)
                continue
            with claim:
                if not item.folder.exists():
                    make_one(item.maker, item.params, item.folder, registry, runtime, item.key)
        made[item.name] = (str(item.folder), item.key)
    return made


def _replaced(params: Mapping[str, object], texts: Mapping[str, str]) -> dict[str, object]:
    """Params with the values that `texts` names replaced."""
    return {
        name: texts.get(value, value) if isinstance(value, str) else value
        for name, value in params.items()
    }


def derivation_key(
    spec: Spec, params: Mapping[str, object], written: Mapping[str, object], runtime: Runtime
) -> str:
    """What a model depends on: its maker's `params` as `written`, models, files, and how numbers
    are computed.

    Raises
    ------
    ModelUnusable, UnknownComponent, BadParams : see `input_digest`.
    """
    marks = [*input_digest(spec, params, written, runtime), *execution_marks(spec, runtime)]
    return instance_key(spec.id, spec.version, dict(written), "|".join(marks), None)


def is_made(folder: Path, key: str) -> bool:
    """Whether a folder is what the derivation `key` made, its weights unchanged since."""
    try:
        note = (folder / NOTE).read_bytes()
    except OSError:
        return False
    return note == _note(folder, key)


def _note(folder: Path, key: str) -> bytes:
    value = {"format": 1, "key": key, "digest": digest(folder)}
    return json.dumps(value, sort_keys=True).encode() + b"\n"


def make_one(
    maker_id: str,
    params: dict[str, Any],
    out_dir: Path,
    registry: Registry,
    runtime: Runtime,
    key: str,
) -> None:
    """Make one model folder, whole or not at all; the journal beside it goes on after a kill.

    Parameters
    ----------
    key : see `derivation_key`; a note in the folder holds it.

    Raises
    ------
    OutputUnwritable : another process is making this folder.
    StageFailed : the maker raised.
    """
    maker_class: Any = registry.resolve("maker", maker_id)
    values: Any = validate(params_type(maker_class), params)
    journal = out_dir.with_name(out_dir.name + ".journal")
    scoped = runtime.for_stage()
    scoped.journal = journal
    with _held(journal, out_dir), committed_folder(out_dir) as folder:
        try:
            maker_class().make(values, {}, folder, scoped)
        except (ValueError, RuntimeError, ArithmeticError, OSError) as err:
            # An OSError with a number is the operating system's: of the folder, most often.
            if hasattr(err, "hint") or getattr(err, "errno", None) is not None:
                raise
            raise StageFailed(f"maker {maker_id!r}: {type(err).__name__}: {err}") from err
        sync_files(folder)
        write_synced(folder / NOTE, _note(folder, key))
    shutil.rmtree(journal, ignore_errors=True)


@contextmanager
def _held(journal: Path, out_dir: Path) -> Iterator[None]:
    """Keep others from making `out_dir` for the time of the block; tidies what a kill left."""
    with explained(journal):
        make_folder(journal)
        handle = os.open(journal, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise OutputUnwritable(
                f"another process is making {str(out_dir)!r}", "Wait for it, or give another folder"
            ) from err
        except OSError:  # not every file system has locks
            pass
        remove_leftovers(out_dir.parent)
        yield
    finally:
        os.close(handle)
