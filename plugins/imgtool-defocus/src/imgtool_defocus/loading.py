"""What both backends do around loading: keep libraries quiet, and make one error of theirs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from imgtool.api import ImgtoolError, ModelUnusable, quiet_libraries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Leave the terminal to imgtool; what the libraries raise becomes an error naming `folder`.

    Raises
    ------
    ModelUnusable : with the first line of what was raised.
    """
    quiet_libraries("transformers")
    try:
        yield
    except ImgtoolError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as err:
        text = (str(err).strip() or type(err).__name__).splitlines()[0]
        raise ModelUnusable(f"{str(folder)!r} cannot be loaded: {text}") from err
