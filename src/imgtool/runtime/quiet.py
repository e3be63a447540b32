"""Libraries that would write to the terminal."""

from __future__ import annotations

import importlib
import os
import warnings


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
