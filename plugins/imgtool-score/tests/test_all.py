"""`score.all` gives what its metrics give alone, over one pass of a shared model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tiny_scorers import pictures

from imgtool.api import BadParams, Batch, UnknownComponent
from imgtool.fields import is_named
from imgtool_score.aesthetic import Aesthetic, AestheticParams
from imgtool_score.looks import Iqa, IqaParams
from imgtool_score.several import All, AllParams
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
        (
            f"score.clip:scale=clip100,model={clip}",
            f"score.aesthetic:model={clip},head={head}",
            "score.iqa:measure=contrast",
        )
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
        (
            f"score.clip:model={clip}",
            f"score.aesthetic:model={clip},head={head}",
            f"score.iqa:measure=clipiqa,clip={clip}",
        )
    )
    stage = opened(All, params)
    passes: list[int] = []
    tower = stage.stages[0].encoder.model.vision_model
    tower.register_forward_hook(lambda *_: passes.append(1))
    stage.process(BATCH)
    assert len(passes) == 1


def test_row_that_fails_one_metric_goes_on_no_further(tiny_clip: Path, opened: Open) -> None:
    params = AllParams((f"score.clip:strict=true,model={tiny_clip}", "score.iqa"))
    batch = BATCH.with_columns(prompt=["x" * 200, "short", "cones"])
    done = opened(All, params).process(batch)
    assert done.ids == ("b", "c")
    assert list(done.failures) == ["a"]
    assert len(done["score.iqa"]) == 2


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ((), "no metric is named"),
        (("score.iqa", "image.read"), "image.read gives no score"),
        (("score.win",), "score.win looks at several rows"),
        (("score.iqa", "score.iqa:measure=noise"), "score.iqa and score.iqa give the same score"),
        (("score.iqa:sacle=cosine",), "sacle"),
    ],
)
def test_stage_that_is_no_metric_is_refused(
    metrics: tuple[str, ...], message: str, opened: Open
) -> None:
    with pytest.raises(BadParams, match=message):
        opened(All, AllParams(metrics))


def test_unknown_metric_is_refused(opened: Open) -> None:
    with pytest.raises(UnknownComponent, match="clipp"):
        opened(All, AllParams(("score.clipp",)))


def test_metrics_of_other_plugins_leave_their_scores_alone(opened: Open) -> None:
    stage = opened(All, AllParams(("score.iqa", "judge.tabletop")))
    done = stage.process(BATCH.with_columns(prompt=["a red cube"] * 3))
    assert set(done.columns) - set(BATCH.columns) == {
        "score.iqa",
        "score_info.iqa",
        "score.judge",
        "score_info.judge",
    }
