"""`key=value` options for a pipeline's own arguments: read, checked, never dropped in silence."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from imgtool.api import BadParams

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgtool_generate.capability import Capability

# Of SDXL, SD3, FLUX and HiDream.
FURTHER_PROMPT = re.compile(r"(negative_)?prompt_\d")


def read_options(texts: Sequence[str], capability: Capability) -> dict[str, object]:
    """The arguments that `texts` name, with values of the right type.

    Values are JSON where they can be read as such, and text else: `clip_skip=1`,
    `clean_caption=false`, `guidance_interval=[0.1, 0.8]`, `prompt_2=a cat`.

    Raises
    ------
    BadParams : no `=`, a name that the pipeline does not take, or a value of another type.
    """
    options: dict[str, object] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        key = key.strip().replace("-", "_")
        if not sign:
            raise BadParams(f"option {text!r} has no '='", "Write it as key=value")
        if key not in capability.accepted:
            raise BadParams(
                f"{capability.pipeline} takes no option {key!r}",
                f"{_near(key, capability.accepted)}It takes: {', '.join(capability.accepted)}",
            )
        options[key] = _typed(key, value.strip(), capability.defaults.get(key))
    return options


def for_rows(options: Mapping[str, object], rows: int) -> dict[str, object]:
    """The options for a call on so many rows: a prompt of a further text encoder for each."""
    return {
        key: [value] * rows if FURTHER_PROMPT.fullmatch(key) else value
        for key, value in options.items()
    }


def _near(key: str, known: Sequence[str]) -> str:
    import difflib

    match = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {match[0]!r}? " if match else ""


def _typed(key: str, text: str, default: object) -> object:
    value: object
    try:
        value = json.loads(text)
    except ValueError:
        value = {"true": True, "false": False, "none": None}.get(text.lower(), text)
    is_text = isinstance(default, str) or FURTHER_PROMPT.fullmatch(key)
    if is_text and not isinstance(value, str):
        return text
    if isinstance(default, float) and type(value) is int:
        return float(value)
    fits = {bool: bool, int: int, float: float}.get(type(default))
    if fits and value is not None and type(value) is not fits:
        raise BadParams(f"option {key!r} takes a value like {default!r}, not {text!r}")
    return value
