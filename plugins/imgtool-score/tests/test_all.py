"""`score.all` gives what its metrics give alone, over one pass of a shared model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tiny_scorers import pictures

from imgtool.api import BadParams, Batch
from imgtool.fields import is_named
from imgtool_score.aesthetic import Aesthetic, AestheticParams
from imgtool_score.looks import Iqa, IqaParams
from imgtool_score.several import TAKES, All, AllParams, parsed
from imgtool_score.similarity import Clip, ClipParams
from imgtool_score.tiny import save_head

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., Any]

BATCH = Batch(
    ("a", "b", "c"), {"image": pictures(3), "prompt": ["a red cube", "", "cones on a table"]}
)


def test_every_metric_gives_what_it_gives_alone(
    tiny_clip: Path, tmp_path: Path, opened: Open
) -> None:
    head, clip = tmp_path / "head.safetensors", str(tiny_clip)
    save_head(head, 16)
    params = AllParams(
        metrics=("clip:scale=clip100", "aesthetic", "iqa:measure=contrast"),
        clip=clip,
        aesthetic=clip,
        head=str(head),
    )
    done = opened(All, params).process(BATCH)
    alone = [
        opened(Clip, ClipParams(model=clip, scale="clip100")),
        opened(Aesthetic, AestheticParams(head=str(head), model=clip)),
        opened(Iqa, IqaParams(measure="contrast", clip=clip)),
    ]
    for stage in alone:
        expected = stage.process(BATCH)
        for field in stage.produces:
            assert done[field.name] == expected[field.name]
    new = set(done.columns) - set(BATCH.columns)
    assert all(is_named(name, All.produces) for name in new)
    assert done["score.clip"][1] is None
    assert done["score.aesthetic"][1] is not None


def test_pictures_go_through_a_shared_encoder_once(
    tiny_clip: Path, tmp_path: Path, opened: Open
) -> None:
    head, clip = tmp_path / "head.safetensors", str(tiny_clip)
    save_head(head, 16)
    params = AllParams(
        metrics=("clip", "aesthetic", "iqa:measure=clipiqa"),
        clip=clip,
        aesthetic=clip,
        head=str(head),
    )
    stage = opened(All, params)
    passes: list[int] = []
    tower = stage.stages[0][1].encoder.model.vision_model
    tower.register_forward_hook(lambda *_: passes.append(1))
    stage.process(BATCH)
    assert len(passes) == 1


def test_row_that_fails_one_metric_goes_on_no_further(tiny_clip: Path, opened: Open) -> None:
    params = AllParams(metrics=("clip:strict=true", "iqa"), clip=str(tiny_clip))
    batch = BATCH.with_columns(prompt=["x" * 200, "short", "cones"])
    done = opened(All, params).process(batch)
    assert done.ids == ("b", "c")
    assert list(done.failures) == ["a"]
    assert len(done["score.iqa"]) == 2


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("clipp", "no metric 'clipp'"),
        ("clip:scale", "no key=value"),
        ("clip:model=somewhere", "given once for all"),
    ],
)
def test_metric_that_cannot_be_read_is_refused(metric: str, message: str) -> None:
    with pytest.raises(BadParams, match=message):
        parsed(metric)


def test_metric_named_twice_and_unknown_parameter_are_refused(
    tiny_clip: Path, opened: Open
) -> None:
    with pytest.raises(BadParams, match="named twice"):
        opened(All, AllParams(metrics=("iqa", "iqa:measure=noise")))
    with pytest.raises(BadParams, match="sacle"):
        opened(All, AllParams(metrics=("iqa", "clip:sacle=cosine"), clip=str(tiny_clip)))


def test_every_metric_and_parameter_is_one_of_this_plugin(registry: Any) -> None:
    for name, takes in TAKES.items():
        params = {param.name for param in registry.spec("stage", f"score.{name}").params}
        assert set(takes) <= params
        assert set(takes.values()) <= set(AllParams.__dataclass_fields__)
