"""Names by derivation: equal names mean equal contents, on every machine."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgtool.batch import Batch

FORMAT = 1


def canonical(value: object) -> bytes:
    """JSON bytes that are equal for equal values: sorted keys, no spaces, floats by repr."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        errors="surrogatepass"
    )


def _digest(*parts: bytes, size: int = 8) -> str:
    total = hashlib.blake2b(digest_size=size)
    _update(total, *parts)
    return total.hexdigest()


def _update(total: hashlib.blake2b, *parts: bytes) -> None:
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)


def instance_key(
    stage_id: str, version: int, params: Mapping[str, object], inputs: str, upstream_key: str | None
) -> str:
    """`family-<16 hex digits>`; `inputs` are the digests of models and files."""
    what = canonical([FORMAT, stage_id, version, dict(params), inputs, upstream_key])
    return f"{stage_id.split('.', 1)[0]}-{_digest(what)}"


def _numbered(number: int, *parts: bytes) -> str:
    return f"{number:06d}-{_digest(*parts)}"


def batch_name(number: int, key: str, upstream_name: str) -> str:
    """Name of the batch that instance `key` makes of `upstream_name`."""
    return _numbered(number, key.encode(), upstream_name.encode())


def barrier_batch_names(key: str, upstream_names: Sequence[str]) -> list[str]:
    """Names of a barrier's batches, in order: each depends on every batch of its upstream."""
    shared = hashlib.blake2b(digest_size=8)
    _update(shared, key.encode(), "\n".join(upstream_names).encode())
    names = []
    for number, upstream_name in enumerate(upstream_names):
        total = shared.copy()
        _update(total, upstream_name.encode())
        names.append(f"{number:06d}-{total.hexdigest()}")
    return names


def source_batch_name(number: int, key: str, batch: Batch) -> str:
    """Name of a source batch: it depends on its rows' contents."""
    rows = []
    for row in batch:
        plain = {name: _plain(value) for name, value in row.values.items()}
        rows.append([row.id, plain])
    return _numbered(number, key.encode(), canonical(rows))


def _plain(value: object) -> object:
    if hasattr(value, "tobytes") and hasattr(value, "dtype"):
        return [str(value.dtype), list(value.shape), _digest(value.tobytes(), size=16)]  # type: ignore[attr-defined]
    return value
