"""What a picture says of its making: the A1111 text that sites read, and imgtool's own JSON.

PNG carries both in text chunks (`parameters`, `imgtool`); JPEG and WebP carry the text in EXIF
UserComment and the JSON in EXIF ImageDescription. All carry XMP with the IPTC term for pictures
made by a trained model.
"""

from __future__ import annotations

import json
import math
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from imgtool.errors import InputUnreadable
from imgtool.fields import is_deep
from imgtool.pictures.photo import EXIF_IFD, carried_exif

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from PIL.Image import Image

SCHEMA = 1
USER_COMMENT, DESCRIPTION, SOFTWARE = 0x9286, 0x010E, 0x0131
AI_ORIGIN = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    f'Iptc4xmpExt:DigitalSourceType="{AI_ORIGIN}"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
# A1111 name, field of the row
NAMES = (
    ("Steps", "steps"), ("Sampler", "sampler"), ("CFG scale", "guidance"), ("Seed", "seed"),
    ("Size", "size"), ("Model", "model"), ("Version", "version"),
)  # fmt: skip


class Level(StrEnum):
    """How much a picture says: nothing, what it shows and how it was drawn, or everything."""

    NONE = "none"
    PUBLIC = "public"
    FULL = "full"


def a1111_text(values: Mapping[str, Any]) -> str:
    """The `parameters` text: prompt, negative prompt, then one line of settings."""
    lines = [str(values.get("prompt") or "")]
    if values.get("negative_prompt"):
        lines.append(f"Negative prompt: {values['negative_prompt']}")
    known = dict(values)
    if known.get("width") and known.get("height"):
        known["size"] = f"{int(known['width'])}x{int(known['height'])}"
    known["guidance"] = _as_number(known.get("guidance"))
    pairs = [(name, known[field]) for name, field in NAMES if known.get(field) not in (None, "")]
    lines.append(", ".join(f"{name}: {_quoted(str(value))}" for name, value in pairs))
    return "\n".join(lines)


def _as_number(value: object) -> str:
    """A finite number as it is written; empty for anything else, such as a column of words."""
    try:
        number = float(value)  # type: ignore[arg-type]  # refused below
    except (TypeError, ValueError, OverflowError):
        return ""
    return f"{number:g}" if math.isfinite(number) else ""


def _quoted(value: str) -> str:
    return json.dumps(value) if any(c in value for c in ',:"\n') else value


# A name has so many signs at most: a longer text must not be searched from each of its places.
PAIR = re.compile(r'([A-Za-z][A-Za-z0-9 _-]{0,40}):\s*("(?:\\.|[^"\\])*"|[^,]*)(?:,|$)')


def parse_a1111(text: str) -> dict[str, str | int | float]:
    """Row fields of a `parameters` text, by whichever program wrote it."""
    lines = text.strip().split("\n")
    last = lines[-1] if lines[-1].startswith("Steps: ") else ""
    body = "\n".join(["", *(lines[:-1] if last else lines)])
    prompt, _, negative = body.partition("\nNegative prompt:")
    found: dict[str, str | int | float] = {"prompt": prompt.strip()}
    if negative.strip():
        found["negative_prompt"] = negative.strip()
    fields = {name.lower(): field for name, field in NAMES}
    for name, raw in PAIR.findall(last):
        value = _unquoted(raw.strip())
        field = fields.get(name.strip().lower())
        if field == "size" and re.fullmatch(r"\d{1,9}x\d{1,9}", value):
            found["width"], found["height"] = (int(n) for n in value.split("x"))
        elif field in ("steps", "seed") and re.fullmatch(r"-?\d{1,20}", value):
            found[field] = int(value)
        elif field == "guidance" and re.fullmatch(r"-?\d{1,9}(\.\d{1,20})?", value):
            found[field] = float(value)
        elif field is not None:
            found[field] = value
    return found


def _unquoted(raw: str) -> str:
    try:
        return str(json.loads(raw)) if raw.startswith('"') else raw
    except ValueError:  # another program's quotes
        return raw.strip('"')


def save_arguments(
    format_: str,
    level: Level,
    values: Mapping[str, Any],
    recipe: Mapping[str, Any],
    exif: np.ndarray | None = None,
) -> dict[str, Any]:
    """Arguments of Pillow's `save` that carry the metadata.

    `values` are the row's scalars; `recipe` says how to make it again, and `exif` are bytes of the
    file that it was made from: both go in at `full`.
    """
    if level is Level.NONE:
        return {}
    text = a1111_text(values)
    record: dict[str, Any] = {"schema": SCHEMA, "row": dict(values)}
    if level is Level.FULL:
        record |= {"recipe": dict(recipe)}
    own = json.dumps(record, sort_keys=True, ensure_ascii=True)
    size = (int(values.get("width") or 0), int(values.get("height") or 0))
    tags = carried_exif(exif if level is Level.FULL else None, size)
    if format_ == "PNG":
        from PIL.PngImagePlugin import PngInfo

        chunks = PngInfo()
        chunks.add_itxt("parameters", text)
        chunks.add_itxt("imgtool", own)
        chunks.add_itxt("XML:com.adobe.xmp", XMP)
        return {"pnginfo": chunks, **({"exif": tags.tobytes()} if tags else {})}
    tags[SOFTWARE] = "imgtool"
    tags[DESCRIPTION] = own
    tags.get_ifd(EXIF_IFD)[USER_COMMENT] = b"UNICODE\0" + text.encode("utf-16-be")
    return {"exif": tags.tobytes(), "xmp": XMP.encode()}


def read_metadata(path: Path) -> dict[str, Any]:
    """What a picture says of its making: `parameters` text and imgtool's `record`, where found.

    Raises
    ------
    InputMissing, InputUnreadable : no such file, no picture.
    """
    from imgtool.pictures.read import open_picture

    picture = open_picture(path)
    text, own = _texts(picture)
    found: dict[str, Any] = {}
    if text:
        found["parameters"] = text
    if own:
        found["record"] = _record(own, path)
    return found


def _record(own: str, path: Path) -> dict[str, Any]:
    try:
        record = json.loads(own)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or is_deep(record):
        raise InputUnreadable(f"{str(path)!r} carries a damaged imgtool record")
    return record


def _texts(picture: Image) -> tuple[str, str]:
    info = picture.info
    text, own = info.get("parameters", ""), info.get("imgtool", "")
    if text or own:
        return str(text), str(own)
    exif = picture.getexif()
    own = exif.get(DESCRIPTION, "")
    raw = exif.get_ifd(EXIF_IFD).get(USER_COMMENT, b"")
    if isinstance(raw, bytes) and raw.startswith(b"UNICODE\0"):
        text = raw[8:].decode("utf-16-be", errors="replace")
    elif isinstance(raw, bytes) and raw.startswith(b"ASCII\0\0\0"):
        text = raw[8:].decode("ascii", errors="replace")
    return str(text), own if str(own).startswith("{") else ""
