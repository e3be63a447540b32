"""imgtool: text-to-image pipelines as commands that pipe, resume and take plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["__version__", "run", "stage"]

if TYPE_CHECKING:
    from imgtool.engine.python import run, stage
else:

    def run(*args, **kwargs):  # noqa: ANN002, ANN003, ANN201 - typed in imgtool.engine.python
        """Run a pipeline; see `imgtool.engine.python.run`, imported when first used."""
        from imgtool.engine import python

        return python.run(*args, **kwargs)

    def stage(*args, **kwargs):  # noqa: ANN002, ANN003, ANN201 - typed in imgtool.engine.python
        """One stage as a function; see `imgtool.engine.python.stage`."""
        from imgtool.engine import python

        return python.stage(*args, **kwargs)
