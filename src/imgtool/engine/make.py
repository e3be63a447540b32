"""Makers run before rows do: weights made once, named by derivation, committed by one rename."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from imgtool.declared import params_type
from imgtool.engine.digests import input_digest
from imgtool.errors import OutputUnwritable, StageFailed
from imgtool.params import cheap_check, validate
from imgtool.store.atomic import committed_folder, explained, make_folder, remove_leftovers
from imgtool.store.keys import instance_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from imgtool.pipeline import MakerUse
    from imgtool.registry import Registry
    from imgtool.runtime.context import Runtime
    from imgtool.store import Store

CLAIM_POLL_S = 0.5


def make_models(
    makers: Sequence[MakerUse], registry: Registry, runtime: Runtime, store: Store
) -> dict[str, tuple[str, str]]:
    """Maker name to (path of the model folder, key of its derivation)."""
    made: dict[str, tuple[str, str]] = {}
    for use in makers:
        given = {
            name: made[value[1:]][0]
            if isinstance(value, str) and value[1:] in made and value.startswith("@")
            else value
            for name, value in use.params.items()
        }
        spec = registry.spec("maker", use.use)
        params = cheap_check(spec, given)
        digests = "|".join(input_digest(spec, params, use.params, runtime))
        key = instance_key(spec.id, spec.version, dict(use.params), digests, None)
        folder = store.beside / "models" / key
        while not folder.exists():
            claim = store.claim(key)
            if claim is None:
                time.sleep(CLAIM_POLL_S)
                continue
            with claim:
                if not folder.exists():
                    make_one(spec.id, params, folder, registry, runtime)
        made[use.name] = (str(folder), key)
    return made


def make_one(
    maker_id: str, params: dict[str, Any], out_dir: Path, registry: Registry, runtime: Runtime
) -> None:
    """Make one model folder, whole or not at all; the journal beside it goes on after a kill.

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
        except (ValueError, RuntimeError, ArithmeticError) as err:
            if hasattr(err, "hint"):
                raise
            raise StageFailed(f"maker {maker_id!r}: {type(err).__name__}: {err}") from err
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
