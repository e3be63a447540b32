"""What looks for the tabletop agent: the model that says what it sees, or the detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from imgtool.api import loading
from imgtool_tabletop.agent.statements import EXACTLY, HOW_MANY, read
from imgtool_tabletop.captions.grammar import with_article
from imgtool_tabletop.captions.words import NUMBERS
from imgtool_tabletop.expecting import SIDES, facts_seen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from torch import Tensor

    from imgtool_tabletop.agent.statements import Asked
    from imgtool_tabletop.judge import Judge

EDGE = 64


class Eyes(Protocol):
    """Looks at [H, W, 3] uint8 pictures; each method is one call of a model."""

    @property
    def name(self) -> str:
        """The model."""

    def caption(self, image: np.ndarray) -> str:
        """What is there, in the words of the world."""

    def answers(self, asked: Sequence[Asked], image: np.ndarray) -> list[str]:
        """`yes`, `no` or `unclear` to each."""


def pixels(image: np.ndarray) -> Tensor:
    """[1, 3, 64, 64] float32 in 0..1 of a picture, its middle where it is not square."""
    import numpy as np
    import torch
    from PIL import Image, ImageOps

    fitted = np.array(ImageOps.fit(Image.fromarray(image), (EDGE, EDGE)))
    return torch.from_numpy(fitted).permute(2, 0, 1)[None].float() / 255


@dataclass(frozen=True)
class Detector:
    """`tabletop/judge`: which solids are there and which is left of which; no more."""

    judge: Judge
    name: str = "tabletop/judge"

    def caption(self, image: np.ndarray) -> str:
        """The solids, most certain first; empty where it sees none."""
        seen = self.judge.read(pixels(image))[0]
        return ", ".join(with_article(f"{one.colour} {one.shape}") for one in seen)

    def answers(self, asked: Sequence[Asked], image: np.ndarray) -> list[str]:
        """Of solids, their number and sides; anything else is unclear."""
        seen = self.judge.read(pixels(image))[0]
        there = facts_seen(seen)
        said = []
        for one in asked:
            facts = read(one.text)
            beside = all(kind in SIDES for _, kind, _ in facts.relations)
            if one.kind == "count":
                said.append(_yes(one.text == _exactly(len(seen), one.text)))
            elif one.kind in ("there", "relation") and beside:
                said.append(_yes(facts.holds_in(there)))
            else:
                said.append("unclear")
        return said


def _yes(truth: bool) -> str:
    return "yes" if truth else "no"


def _exactly(count: int, text: str) -> str:
    """`text` with the number that was counted in it."""
    number = NUMBERS[count - 1] if 0 < count <= len(NUMBERS) else str(count)
    return EXACTLY.sub(f"exactly {number} objects", text)


@dataclass(frozen=True)
class Vlm:
    """`tabletop/vlm`: answers in its own words, one question after another about one picture."""

    model: Any
    tokenizer: Any
    name: str = "tabletop/vlm"

    @classmethod
    def load(cls, folder: Path, name: str, device: Any) -> Vlm:
        """The model of a folder that `train tabletop/vlm` wrote.

        Raises
        ------
        ModelUnusable : the folder holds another model.
        """
        import torch

        settings: dict[str, Any] = {"local_files_only": True}
        with loading(name, "transformers"):
            from transformers import CLIPTokenizer, LlavaForConditionalGeneration

            model = LlavaForConditionalGeneration.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, **settings
            )
            tokenizer = CLIPTokenizer.from_pretrained(folder, padding_side="left", **settings)
        return cls(model.to(device).eval(), tokenizer, name)

    def caption(self, image: np.ndarray) -> str:
        """Its full caption."""
        return self._say(image, [""])[0]

    def answers(self, asked: Sequence[Asked], image: np.ndarray) -> list[str]:
        """Unclear where it says neither yes nor no, and no number where it counts."""
        told = self._say(image, [HOW_MANY if one.kind == "count" else one.text for one in asked])
        return [_read(one, said) for one, said in zip(asked, told, strict=True)]

    def _say(self, image: np.ndarray, questions: Sequence[str]) -> list[str]:
        from imgtool_tabletop.training.vlm import say

        picture = pixels(image).to(self.model.device) * 2 - 1
        shown = picture.expand(len(questions), -1, -1, -1)
        return [text.strip() for text in say(self.model, self.tokenizer, shown, questions)]


def _read(asked: Asked, said: str) -> str:
    word = said.lower().rstrip(".").strip()
    if asked.kind == "count":
        return _yes(word in asked.text.split()) if word in NUMBERS else "unclear"
    return word if word in ("yes", "no") else "unclear"
