"""Around libraries that load models: they are kept off the terminal, and fail in one line."""

from __future__ import annotations

import importlib
import os
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from imgtool.errors import ImgtoolError, ModelUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIBRARY_ERRORS = (
    OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ImportError,
)  # fmt: skip
"""What libraries raise for folders that hold something else than they look for."""


def quiet_libraries(*names: str) -> None:
    """Import `transformers`, `diffusers` or both without their bars and advice, now and later.

    Call it before anything else imports them: some of the advice is given then.
    """
    # About settings in files that the user did not write, and cannot act on.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"diffusers\.")
    warnings.filterwarnings("ignore", message="Already found a `peft_config`")
    for name in names:
        os.environ.setdefault(f"{name.upper()}_VERBOSITY", "error")
    for name in names:
        logging = importlib.import_module(f"{name}.utils.logging")
        logging.set_verbosity_error()
        logging.disable_progress_bar()


@contextmanager
def loading(model: str | Path, *libraries: str) -> Iterator[None]:
    """Let `libraries` load `model` in the block: quietly, and what they raise becomes one error.

    Raises
    ------
    ModelUnusable : with the first line of what was raised. Errors of imgtool's own pass.
    """
    quiet_libraries(*libraries)
    try:
        yield
    except ImgtoolError:
        raise
    except LIBRARY_ERRORS as err:
        text = (str(err).strip() or type(err).__name__).splitlines()[0]
        raise ModelUnusable(f"{str(model)!r} cannot be loaded: {text}") from err
