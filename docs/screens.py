"""Makes docs/terminal.svg: what a terminal shows of a few real commands.

    python docs/screens.py

The commands run in a pseudo-terminal in a folder of their own, with the embedded model.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 92
COMMANDS = (
    "imgtool rewrite 'a {red|blue} cube left of a yellow cone' |"
    " imgtool generate --store runs.zarr --name cubes -o 'out/{id}.png'",
    "imgtool generate 'a red cube left of a yellow cone' --steps 50 --store runs.zarr --plan",
    "imgtool show out/0.1.png",
)


def typed(command: str, folder: Path) -> str:
    """What a terminal of COLUMNS shows of `command` run in `folder`, escapes included."""
    ours, theirs = pty.openpty()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    env |= {"COLORTERM": "truecolor", "IMGTOOL_CACHE": str(folder / "cache")}
    process = subprocess.Popen(
        ["bash", "-c", command], cwd=folder, env=env, stdin=subprocess.DEVNULL,
        stdout=theirs, stderr=subprocess.PIPE, text=False,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    assert process.stderr is not None
    notes = process.stderr.read()
    if process.wait():
        raise SystemExit(f"{command}\n{notes.decode()}")
    return (shown + notes).decode().replace("\r\n", "\n")


def main() -> None:
    """Run the commands and write the picture."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for command in COMMANDS:
            console.print(Text.assemble(("$ ", "bold green"), command))
            console.print(Text.from_ansi(typed(command, folder)))
    svg = console.export_svg(title="imgtool")
    (Path(__file__).parent / "terminal.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
