"""The bytes of the store's JSON: Zarr v3 groups whose attributes are rows, runs and instances."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

from imgtool.batch import Batch, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

META = "zarr.json"


def group(attributes: Mapping[str, object]) -> bytes:
    """A group's `zarr.json`: strict JSON, sorted keys, newline at the end."""
    value = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=True, allow_nan=False)
    return text.encode() + b"\n"


def attributes(path: Path) -> dict[str, Any]:
    """Attributes of a group's `zarr.json`.

    Raises
    ------
    FileNotFoundError, ValueError : it is not there, or is no group.
    """
    return _attributes(path.read_bytes(), path)


def _attributes(data: bytes, path: Path) -> dict[str, Any]:
    value = json.loads(data)
    found = value.get("attributes") if isinstance(value, dict) else None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is no Zarr group with attributes")
    return found


def sealed(attributes: Mapping[str, object]) -> bytes:
    """A group's `zarr.json` whose attributes hold their own checksum."""
    return group({**attributes, "checksum": checksum(attributes)})


def unsealed(path: Path) -> dict[str, Any]:
    """Attributes of a group that `sealed` wrote, every byte of the file checked.

    Raises
    ------
    FileNotFoundError, ValueError : it is not there, or was changed.
    """
    data = path.read_bytes()
    found = _attributes(data, path)
    if not is_intact(data, found):
        raise ValueError(f"{path} was changed")
    return found


def is_unsealed(path: Path) -> bool:
    """Whether a group has attributes, and no checksum of them."""
    try:
        return "checksum" not in attributes(path)
    except (OSError, ValueError):
        return False


def is_intact(data: bytes, found: Mapping[str, object]) -> bool:
    """Whether `data`, whose attributes are `found`, is what `sealed` wrote."""
    # Cut out of the bytes rather than written again: reading a batch must stay cheap.
    line = f'\n  "checksum": "{found.get("checksum")}",'.encode()
    if line in data:
        return _digest(data.replace(line, b"", 1)) == found["checksum"]
    return group(found) == data and checksum(found) == found.get("checksum")


def is_array(value: object) -> bool:
    """Whether a value has dimensions; numpy's numbers are scalars, as scorers return them."""
    return bool(getattr(value, "ndim", 0))


def plain(value: Any) -> object:
    """A scalar as strict JSON: numbers that JSON lacks become `{"number": "nan"}`."""
    if hasattr(value, "dtype"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": repr(value)}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return value


def _lively(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"number"} and value["number"] in ("nan", "inf", "-inf"):
            return float(value["number"])
        return {key: _lively(item) for key, item in value.items()}
    return [_lively(item) for item in value] if isinstance(value, list) else value


def batch_attributes(
    batch: Batch,
    scalars: Mapping[str, Sequence[object]],
    groups: Mapping[str, list[int]],
    upstream: tuple[str, str] | None,
    digests: Mapping[str, str],
) -> dict[str, object]:
    """What a batch's group says: rows, scalars, failures, arrays, and the batch it was made of."""
    return {
        "number": batch.number,
        "ids": list(batch.ids),
        "parents": list(batch.parents),
        "scalars": {name: list(values) for name, values in scalars.items()},
        "failures": {
            row_id: {"stage": f.stage, "code": f.code, "reason": f.reason}
            for row_id, f in batch.failures.items()
        },
        "arrays": {name: rows for name, rows in groups.items()},
        "arrays_digest": dict(digests),
        "upstream": None if upstream is None else list(upstream),
    }


def checksum(attributes: Mapping[str, object]) -> str:
    """Digest of a batch's attributes, its own entry left out."""
    rest = {name: value for name, value in attributes.items() if name != "checksum"}
    return _digest(group(rest))


def file_digest(path: Path) -> str:
    """Digest of a small file."""
    return _digest(path.read_bytes())


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def batch_from(found: Mapping[str, Any]) -> Batch:
    """The batch that `batch_attributes` described, without its arrays."""
    return Batch(
        ids=tuple(found["ids"]),
        parents=tuple(found["parents"]),
        columns={name: [_lively(v) for v in values] for name, values in found["scalars"].items()},
        failures={row_id: Failure(**why) for row_id, why in found["failures"].items()},
        number=found["number"],
    )
