"""What both backends do around loading: keep libraries quiet, and make one error of theirs."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from imgtool.api import ImgtoolError, ModelUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def quiet_transformers() -> None:
    """No bars and no advice from transformers."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    import transformers

    _silence(transformers)


def quiet_diffusers() -> None:
    """No bars and no advice from diffusers."""
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    import diffusers

    # About settings in files that the user did not write, and cannot act on.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"diffusers\.")
    _silence(diffusers)


def _silence(library: Any) -> None:
    library.utils.logging.set_verbosity_error()
    library.utils.logging.disable_progress_bar()


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Leave the terminal to imgtool; what the libraries raise becomes an error naming `folder`.

    Raises
    ------
    ModelUnusable : with the first line of what was raised.
    """
    quiet_transformers()
    try:
        yield
    except ImgtoolError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as err:
        text = (str(err).strip() or type(err).__name__).splitlines()[0]
        raise ModelUnusable(f"{str(folder)!r} cannot be loaded: {text}") from err
