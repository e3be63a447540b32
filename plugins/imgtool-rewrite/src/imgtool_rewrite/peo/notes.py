"""The state of a climb as bytes: tensors as safetensors, everything else as JSON among them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load, save

if TYPE_CHECKING:
    from torch import Tensor

PLAIN = "plain"


def packed(state: Any) -> bytes:
    """Nested dicts and lists of tensors, numbers, texts and None; tuples become lists."""
    tensors: dict[str, Tensor] = {}

    def plain(value: Any) -> Any:
        if torch.is_tensor(value):
            name = str(len(tensors))
            tensors[name] = value.detach().cpu().clone().contiguous()
            return {"tensor": name}
        if isinstance(value, dict):  # keys may be numbers
            return {"items": [[key, plain(item)] for key, item in value.items()]}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    text = json.dumps(plain(state)).encode()
    tensors[PLAIN] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    data: bytes = save(tensors)
    return data


def unpacked(data: bytes, device: torch.device | str = "cpu") -> Any:
    """The inverse of `packed`, with tensors on `device`."""
    tensors = load(data)

    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return [whole(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "tensor" in value:
            return tensors[value["tensor"]].to(device)
        return {key: whole(item) for key, item in value["items"]}

    return whole(json.loads(tensors[PLAIN].numpy().tobytes()))
