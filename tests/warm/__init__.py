"""Commands as processes forked from one that has imported what is heavy.

Importing torch, diffusers and transformers costs six seconds, and a hundred commands of the
documentation do; numpy, zarr and pydantic cost half a second, and a thousand commands of tests do.
Here they start from a process that has imported those libraries, has computed nothing and knows
nothing of ours: imgtool and its plugins are imported anew each time. Tests of killing, of imports
and of what a terminal shows start processes of their own.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from warm.client import read_at_start

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
LIGHT = (
    "click",
    "numpy",
    "PIL.BmpImagePlugin",
    "PIL.GifImagePlugin",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "PIL.PpmImagePlugin",
    "pydantic.dataclasses",
    "pydantic.type_adapter",
    "pydantic.types",
    "zarr",
)
HEAVY = (
    *LIGHT,
    "torch._dynamo",
    "transformers.models.clip.image_processing_clip",
    "transformers.models.clip.modeling_clip",
    "diffusers.pipelines.auto_pipeline",
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
)


@pytest.fixture(scope="session")
def light_bin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with `imgtool` and `python`, forked from a process without torch."""
    with _served(tmp_path_factory.mktemp("light"), LIGHT) as folder:
        yield folder


@pytest.fixture(scope="session")
def warm_bin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with `imgtool` and `python`, forked from a process with torch and diffusers."""
    with _served(tmp_path_factory.mktemp("warm"), HEAVY) as folder:
        yield folder


@contextlib.contextmanager
def _served(folder: Path, modules: tuple[str, ...]) -> Iterator[Path]:
    if not _can_fork():
        yield Path(sys.executable).parent
        return
    for name in ("imgtool", "python"):
        script = folder / name
        script.write_text(f"#!{sys.executable} -IS\n{(HERE / 'client.py').read_text()}")
        script.chmod(0o755)
    (folder / "environment").write_bytes(marshal.dumps(read_at_start(os.environ)))
    server = subprocess.Popen(
        [sys.executable, HERE / "server.py", folder, *modules],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches its children through their clients
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    yield folder
    server.communicate()  # it ends with its stdin


def _can_fork() -> bool:
    """A process that asked for a GPU cannot share it with its children; macOS is no safer."""
    return sys.platform == "linux" and not Path("/dev/nvidiactl").exists()
