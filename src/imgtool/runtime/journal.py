"""Notes that a stage keeps while it computes one batch; the engine drops them at commit.

A note is whole or absent: after a kill the stage finds what it had paid for.
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path


def recall(folder: Path, key: str) -> bytes | None:
    """What was noted under `key`, or None."""
    try:
        return _path(folder, key).read_bytes()
    except FileNotFoundError:
        return None


def record(folder: Path, key: str, data: bytes) -> None:
    """Note `data` under `key`, durably, replacing what was there.

    Raises
    ------
    StorageFull, OutputUnwritable : as the names say.
    """
    from imgtool.store.atomic import write_file

    folder.mkdir(parents=True, exist_ok=True)
    write_file(_path(folder, key), data)


def _path(folder: Path, key: str) -> Path:
    # Keys are free text, such as a prompt; file names are not.
    return folder / f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.note"


@lru_cache(maxsize=1)
def temporary() -> Path:
    """A folder for stages that run without an engine; gone when the process ends."""
    folder = tempfile.mkdtemp(prefix="imgtool-journal-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
