"""Which layers are pruned and by how much, before any weight is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from toy_pipe import UNITS, Denoiser

from imgtool.api import BadParams
from imgtool_prune.architectures import paths
from imgtool_prune.choosing import choose
from imgtool_prune.makers import MaskParams
from imgtool_prune.patterns import SemiStructured, Unstructured
from imgtool_prune.pipeline import remember_prompts

if TYPE_CHECKING:
    from imgtool_prune.choosing import Choice
    from imgtool_prune.patterns import MaskPattern

HALF = Unstructured(0.5)


def chosen(*entries: str, pattern: MaskPattern = HALF) -> Choice:
    return choose(UNITS, Denoiser().to("meta"), MaskParams(sparsity_of=entries), pattern)


def test_the_last_of_several_globs_counts() -> None:
    choice = chosen("first.*=0.3", "*.out=0.7", "s*=0.1")

    assert choice.own == {"first.a": 0.3, "first.b": 0.3, "first.out": 0.7, "second": 0.1}
    assert choice.free == []
    assert chosen("*.out=0.7").free == ["first.a", "first.b", "second"]


def test_layers_of_no_sparsity_are_left_out() -> None:
    assert paths(chosen("first.*=0").units) == ["second"]
    assert paths(chosen("second=0.2", pattern=Unstructured(0.0)).units) == ["second"]
    assert chosen(pattern=Unstructured(0.0)).units == []


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("attn=0.3", "no layer is like 'attn'"),
        ("first.a", "no GLOB=SHARE"),
        ("first.a=half", "no GLOB=SHARE"),
        ("first.a=1.0", "no GLOB=SHARE"),
        ("first.a=nan", "no GLOB=SHARE"),
    ],
)
def test_entries_that_say_nothing_are_refused(entry: str, message: str) -> None:
    with pytest.raises(BadParams, match=message) as raised:
        chosen(entry)
    assert "\n" not in str(raised.value)


def test_groups_leave_no_choice_and_must_divide_every_layer() -> None:
    with pytest.raises(BadParams, match="all layers alike"):
        chosen("second=0.5", pattern=SemiStructured(2, 4))
    with pytest.raises(BadParams, match=r"'first\.a': 12 columns are no multiple of 5"):
        chosen(pattern=SemiStructured(2, 5))


def test_the_same_prompts_are_encoded_once() -> None:
    class Encoder:
        """Counts."""

        calls = 0

        def encode_prompt(self, prompt: list[str], **given: Any) -> tuple[str, ...]:
            self.calls += 1
            return (*prompt, *map(str, given))

    pipe = Encoder()
    remember_prompts(pipe)
    first = pipe.encode_prompt(["a", "b"], guided=True)

    assert pipe.encode_prompt(["a", "b"], guided=True) is first
    assert pipe.calls == 1
    assert pipe.encode_prompt(["a", "b"], guided=False) == first
    assert pipe.encode_prompt(["a"], guided=True) != first
    assert pipe.calls == 3
