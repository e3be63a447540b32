"""A random focus network of a few thousand weights, for `imgtool plugin check` and tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from imgtool_defocus.auto.config import SIZES
from imgtool_defocus.auto.network import FocusNet, save_focus

if TYPE_CHECKING:
    from pathlib import Path


def save_tiny(folder: Path) -> Path:
    """Save it; equal every time."""
    torch.manual_seed(3)
    save_focus(FocusNet(SIZES["tiny"]), folder)
    return folder
