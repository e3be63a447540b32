"""A report as one HTML page that needs nothing but itself, and asks for nothing."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import asdict
from importlib import resources
from typing import TYPE_CHECKING, Any

from imgtool import __version__

if TYPE_CHECKING:
    from imgtool.report.model import Line, Report

HOLE = re.compile(r"\{\{(\w+)\}\}")
# In this order: each names things of those before it at once, of others when it is called.
SCRIPTS = (
    "data", "grid", "tools", "zoom", "facts", "charts", "scatter", "pairs", "votes", "vote", "keys",
)  # fmt: skip
STYLES = ("page", "charts", "vote")


def page(report: Report) -> bytes:
    """The page; equal reports give equal bytes.

    Texts of rows are in it as JSON alone, so that none of them can end the element they are in;
    its policy lets no script run and no style hold but its own, and nothing be fetched.
    """
    style, script = "".join(_part(f"{name}.css") for name in STYLES), _script()
    data = as_json(report)
    policy = (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; "
        f"script-src {_digest(script)}; base-uri 'none'; form-action 'none'"
    )
    values = {
        "title": html.escape(f"{', '.join(run.name for run in report.runs)} · {report.store}"),
        "version": html.escape(__version__),
        "policy": html.escape(policy),
        "size": size_text(len(data.encode(errors="backslashreplace")) + len(style) + len(script)),
        "style": style,
        "data": data,
        "script": script,
    }
    # One pass: a value that looks like a hole is not filled again.
    text = HOLE.sub(lambda hole: values[hole[1]], _part("page.html"))
    return text.encode(errors="backslashreplace")


def as_json(report: Report) -> str:
    """What the page's script reads; without `<`, so that it is safe inside an element."""
    value: dict[str, Any] = {
        "store": report.store,
        "runs": [asdict(run) for run in report.runs],
        "columns": [asdict(column) for column in report.columns],
        "groups": [
            {
                "id": group.id,
                "prompt": group.prompt,
                "source": group.source,
                "lines": [_line(line) for line in group.lines],
            }
            for group in report.groups
        ],
        "pictures": [asdict(picture) for picture in report.pictures],
    }
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def size_text(count: int) -> str:
    """Bytes for people: `84 KB`, `3.2 MB`."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} KB"


def _line(line: Line) -> dict[str, Any]:
    """A line without what is empty: of many rows, most of it is."""
    cells = {
        at: {name: value for name, value in asdict(cell).items() if value not in (None, {})}
        for at, cell in line.cells.items()
    }
    return {**asdict(line), "cells": cells}


def _script() -> str:
    """Scripts of the page as one; none of their names is seen outside."""
    return '"use strict";\n(() => {\n' + "\n".join(_part(f"{n}.js") for n in SCRIPTS) + "})();\n"


def _part(name: str) -> str:
    return resources.files(__package__).joinpath("parts", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
