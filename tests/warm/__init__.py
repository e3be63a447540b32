"""Commands as processes forked from one that has imported what is heavy.

Importing torch, diffusers and transformers costs six seconds, and the documentation starts a
hundred commands that do. Here they start from a process that has imported those libraries, has
computed nothing and knows nothing of ours: imgtool and its plugins are imported anew each time.
Commands without torch, and tests of starting, killing and memory, use processes of their own.
"""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from warm.client import read_at_import

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def warm_bin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with `imgtool` and `python`, to be first on PATH; one server a test process."""
    if not _can_fork():
        yield Path(sys.executable).parent
        return
    folder = tmp_path_factory.mktemp("warm")
    for name in ("imgtool", "python"):
        script = folder / name
        script.write_text(f"#!{sys.executable} -IS\n{(HERE / 'client.py').read_text()}")
        script.chmod(0o755)
    (folder / "environment").write_bytes(marshal.dumps(read_at_import(os.environ)))
    server = subprocess.Popen(
        [sys.executable, HERE / "server.py", folder],
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
    import torch

    return sys.platform == "linux" and not torch.cuda.is_available()
