"""Where a run lives: the store that was named, or one in the user's cache."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from imgtool.unnamed import unnamed_store

if TYPE_CHECKING:
    from pathlib import Path

    from imgtool.cli.options import RunOptions


def store_path(options: RunOptions, upstream: Path | None = None) -> Path:
    """The store of a run: as named, else that of the upstream command, else the user's cache."""
    if options.store is not None:
        return options.store
    return upstream or unnamed_store()


def run_name(options: RunOptions, base: str, *what: object) -> str:
    """Name of a run that may be given none: the same command has the same name again."""
    if options.name:
        return options.name
    digest = hashlib.blake2b(repr(what).encode(errors="surrogatepass"), digest_size=4).hexdigest()
    return f"{base.replace('/', '-').replace(':', '-')}-{digest}"
