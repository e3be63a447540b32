"""The tabletop world: rendered solids, captions that say what is there, and models of both.

Importing this package loads neither torch nor any model; the submodules that need them do.
"""

from importlib.resources import files
from pathlib import Path

__all__ = ["WEIGHTS", "__version__"]

__version__ = "0.1.0"

WEIGHTS: Path = Path(str(files(__name__))) / "weights"
"""Folder with the model folders shipped in this distribution: `clip`, `tabletop`, `judge`."""
