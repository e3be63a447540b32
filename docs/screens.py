"""Makes docs/terminal.png: what a terminal shows of a few real commands.

    python docs/screens.py

The commands run in a pseudo-terminal in a folder of their own, with the embedded model; Chromium
must be installed.
"""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.text import Text

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "tests" / "report"))

from browser import CHROMIUM, browser  # noqa: E402

COLUMNS = 92
COLOURS = 256
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
        ["bash", "-c", command],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
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
    """Run the commands, and photograph what the terminal showed."""
    if not CHROMIUM:
        raise SystemExit("Chromium is not installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        console = Console(record=True, width=COLUMNS, file=io.StringIO())
        for command in COMMANDS:
            console.print(Text.assemble(("$ ", "bold green"), command))
            console.print(Text.from_ansi(typed(command, folder)))
        drawing = folder / "terminal.svg"
        drawing.write_text(console.export_svg(title="imgtool"), encoding="utf-8")
        with browser(folder / "profile") as tab:
            tab.open(drawing)
            size = tab.see(
                "(({width, height}) => [width, height])(document.rootElement.viewBox.baseVal)"
            )
            tab.resize(*(round(edge) for edge in size))
            tab.photograph(folder / "terminal.png")
        picture = Image.open(folder / "terminal.png").convert("RGB")
        picture.quantize(COLOURS).save(DOCS / "terminal.png", optimize=True)


if __name__ == "__main__":
    main()
