"""Where stages keep notes that run without an engine; see `Runtime.journal`."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def temporary() -> Path:
    """A folder for stages that run without an engine; gone when the process ends."""
    folder = tempfile.mkdtemp(prefix="imgtool-journal-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
