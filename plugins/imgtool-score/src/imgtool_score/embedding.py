"""Texts to vectors by any encoder of transformers, also one laid out by sentence-transformers.

sentence-transformers itself is not needed: of its folders the pooling and the length are read.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from imgtool.api import ModelUnusable, loading
from imgtool_score.clip import UNLIMITED, load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from imgtool.api import Runtime

TASK = "text-embedding"
AT_ONCE = 32
POOLINGS = {"cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max", "lasttoken": "last"}
SENTENCE = re.compile(r"(?<=[.!?…])\s+")
Reading: TypeAlias = Literal["windows", "sentences", "cut"]


@dataclass
class Embedder:
    """An encoder, loaded.

    Attributes
    ----------
    pooling : `mean`, `cls`, `last` or `max` of the token vectors.
    limit : tokens read at once, marks included.
    digest : of the model's files.
    """

    model: Any
    tokenizer: Any
    pooling: str
    limit: int
    digest: str
    device: Any

    def similarities(
        self, pairs: Sequence[tuple[str, str]], reading: Reading
    ) -> list[tuple[float, bool]]:
        """Cosine of each pair of texts, and whether one of them was cut.

        Parameters
        ----------
        reading : a longer text than `limit` is read in `windows`, whose vectors are averaged by
            their tokens, or `cut`. `sentences` compares the sentences of both texts: the mean,
            over the sentences of either, of the best cosine with one of the other.
        """
        if reading == "sentences":
            return [(value, False) for value in self._by_sentences(pairs)]
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        windows = {text: self._windows(text) for text in texts}
        if reading == "cut":
            read = {text: found[:1] for text, found in windows.items()}
        else:
            read = windows
        vectors = dict(zip(texts, self._vectors([read[text] for text in texts]), strict=True))
        return [
            (
                float(vectors[a] @ vectors[b]),
                reading == "cut" and len(windows[a]) + len(windows[b]) > 2,
            )
            for a, b in pairs
        ]

    def vectors(self, texts: Sequence[str]) -> Tensor:
        """[N, D] unit vectors, float64; long texts are read in windows. One text at least."""
        import torch

        return torch.stack(self._vectors([self._windows(text) for text in texts]))

    def tokens(self, text: str) -> int:
        """How many tokens a text has, marks included, before anything is cut."""
        return len(self.tokenizer(text, truncation=False, verbose=False).input_ids)

    def _by_sentences(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        import torch

        split = [[SENTENCE.split(text.strip()) for text in pair] for pair in pairs]
        every = list(dict.fromkeys(s for pair in split for side in pair for s in side))
        found = self._vectors([self._windows(text) for text in every])
        vectors = dict(zip(every, found, strict=True))
        values = []
        for one, two in split:
            cosines = (
                torch.stack([vectors[s] for s in one]) @ torch.stack([vectors[s] for s in two]).mT
            )
            values.append(float((cosines.amax(0).mean() + cosines.amax(1).mean()) / 2))
        return values

    def _windows(self, text: str) -> list[list[int]]:
        found: list[list[int]] = self.tokenizer(
            text, truncation=True, max_length=self.limit, return_overflowing_tokens=True
        ).input_ids
        return found if found and isinstance(found[0], list) else [found]  # type: ignore[list-item]

    def _vectors(self, texts: Sequence[Sequence[list[int]]]) -> list[Tensor]:
        """A unit vector, float64, of each text given as windows of tokens."""
        import torch

        pooled = self._pooled([window for windows in texts for window in windows])
        vectors, at = [], 0
        for windows in texts:
            part = torch.stack(pooled[at : at + len(windows)])
            weights = torch.tensor([len(window) for window in windows], dtype=torch.float64)
            at += len(windows)
            total = (part * weights[:, None]).sum(0)
            length = total.norm()
            vectors.append(total / length if length > 0 else total)
        return vectors

    def _pooled(self, windows: Sequence[list[int]]) -> list[Tensor]:
        import torch

        # Windows of one length go together: nothing is padded, so neighbours change nothing.
        groups: dict[int, list[int]] = {}
        for index, window in enumerate(windows):
            groups.setdefault(len(window), []).append(index)
        found: dict[int, Tensor] = {}
        with torch.inference_mode():
            for members in groups.values():
                for start in range(0, len(members), AT_ONCE):
                    part = members[start : start + AT_ONCE]
                    ids = torch.tensor([windows[i] for i in part], device=self.device)
                    states = self.model(
                        input_ids=ids, attention_mask=torch.ones_like(ids)
                    ).last_hidden_state
                    rows = pool(states.cpu().double(), self.pooling)
                    found |= zip(part, rows, strict=True)
        return [found[index] for index in range(len(windows))]


def pool(states: Tensor, how: str) -> Tensor:
    """[B, D] of [B, T, D] token vectors."""
    if how == "cls":
        return states[:, 0]
    if how == "last":
        return states[:, -1]
    return states.amax(1) if how == "max" else states.mean(1)


def load_embedder(runtime: Runtime, ref: str) -> Embedder:
    """The encoder that `ref` names, shared with every stage that uses it.

    Raises
    ------
    ModelUnusable : it cannot be loaded, or its folder asks for more than pooling.
    """
    try:
        model = runtime.model(ref, TASK)
    except ModelUnusable as err:
        if ref != "minilm":
            raise
        raise ModelUnusable(err.message, "pip install 'imgtool-score[minilm]'") from err
    key = ("embedder", model.digest, str(runtime.torch_device), str(runtime.torch_dtype))

    def load() -> Embedder:
        with loading(ref, "transformers"):
            from transformers import AutoModel

            tokenizer = load_tokenizer(model.path, ref)
            net = AutoModel.from_pretrained(
                model.path,
                dtype=runtime.torch_dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
            )
        net = net.to(runtime.torch_device).eval()
        limit = _limit(model.path, net, tokenizer)
        return Embedder(
            net, tokenizer, pooling_of(model.path), limit, model.digest, runtime.torch_device
        )

    return runtime.load_once(key, load)


def pooling_of(folder: Path) -> str:
    """How a folder's token vectors become one; the mean where it does not say.

    Raises
    ------
    ModelUnusable : it asks for a layer or a pooling that is not known here.
    """
    modules = _json(folder / "modules.json") or []
    kinds = {str(module["type"]).rpartition(".")[2]: module["path"] for module in modules}
    odd = set(kinds) - {"Transformer", "Pooling", "Normalize"}
    if odd:
        raise ModelUnusable(
            f"{str(folder)!r} ends in a layer {sorted(odd)[0]!r}, which is not known here",
            "Name an embedding model of an encoder and a pooling alone",
        )
    config: Mapping[str, Any] = _json(folder / str(kinds.get("Pooling", "")) / "config.json") or {}
    if "Pooling" not in kinds:
        return "mean"
    chosen = [
        short for name, short in POOLINGS.items() if config.get(f"pooling_mode_{name}")
    ] or POOLED_BY_NAME.get(str(config.get("pooling_mode")), [])
    if len(chosen) != 1:
        raise ModelUnusable(f"{str(folder)!r} pools in a way that is not known here")
    return chosen[0]


POOLED_BY_NAME = {"cls": ["cls"], "mean": ["mean"], "max": ["max"], "lasttoken": ["last"]}


def _limit(folder: Path, net: Any, tokenizer: Any) -> int:
    settings: Mapping[str, Any] = _json(folder / "sentence_bert_config.json") or {}
    limits = (
        settings.get("max_seq_length"),
        tokenizer.model_max_length,
        getattr(net.config, "max_position_embeddings", None),
    )
    return int(min(limit for limit in (*limits, UNLIMITED) if limit))


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
