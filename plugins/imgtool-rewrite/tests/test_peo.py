"""`rewrite.peo` on the shipped models and on tiny ones of other families."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
import torch

from imgtool.api import BadParams, Batch, ModelUnusable
from imgtool_rewrite.peo.stage import Peo, PeoParams
from imgtool_rewrite.peo.studio import RowProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from imgtool_rewrite.peo.studio import Studio

    Open = Callable[..., Any]

SMALL = {"width": 16, "height": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny models `sd`, `sdxl`, `sd3`, `clip` and heads, made when they are asked for."""
    return tmp_path_factory.mktemp("peo")


def model(folder: Path, family: str) -> str:
    import tiny

    path = folder / family
    return str(path if path.exists() else tiny.save(family, path))


def seeing(folder: Path) -> dict[str, Any]:
    """A tiny CLIP, and a head over it that tells pictures apart."""
    from imgtool_score.tiny import save_clip, save_head

    if not (folder / "clip").exists():
        save_clip(folder / "clip")
        save_head(folder / "head.safetensors", 16)
    return {"clip": str(folder / "clip"), "head": str(folder / "head.safetensors")}


def rows(prompts: Sequence[str], **columns: Any) -> Batch:
    ids = tuple(map(str, range(len(prompts))))
    seeds = list(range(5, 5 + len(prompts)))
    return Batch(ids, {"prompt": list(prompts), "seed": seeds, **columns})


def entry(done: Batch, at: int = 0) -> dict[str, Any]:
    records: Any = done["rewrite"][at]
    return records[-1]


def test_turbo_climbs_and_generate_draws_what_was_scored(opened: Open, tmp_path: Path) -> None:
    stage = opened(Peo, PeoParams(steps=2, iterations=3))
    batch = rows(["a red cube left of a blue sphere", "a green cone"])
    done = stage.process(batch)
    for at in range(2):
        found = entry(done, at)
        assert found["status"] == "ok"
        assert found["target"] == "optimised"
        assert found["history"] == sorted(found["history"])
        assert found["scores"]["aesthetic"][1] > found["scores"]["aesthetic"][0]
        assert found["unet_evals"] == 2 * len(found["history"]) == 8
        stage.runtime.journal = tmp_path / str(at)  # or it would take up what is noted
        alone = stage.process(batch.keep([at]))
        assert np.array_equal(alone["prompt_embeds"][0], done["prompt_embeds"][at])
        assert entry(alone) == found
    drawing = stage.runtime.stage("generate", model="tabletop/turbo", steps=2)
    decoding = stage.runtime.stage("decode", model="tabletop/turbo")
    scoring = stage.runtime.stage("score.clip")
    try:
        for rows_, which in ((batch, 0), (done, 1)):
            scored = scoring.process(decoding.process(drawing.process(rows_)))
            for at in range(2):
                want = entry(done, at)["scores"]["agreement"][which]
                # Pictures are rounded to 8 bits on the way.
                assert scored["score.clip"][at] == pytest.approx(want, abs=2e-3)
    finally:
        for other in (drawing, decoding, scoring):
            other.close()


def doubled(studio: Studio) -> Studio:
    """The same with nets of its own in float64."""
    painter, encoder = copy.copy(studio.painter), copy.copy(studio.encoder)
    sampler = painter.sampler = copy.copy(painter.sampler)
    decoder = painter.decoder = copy.copy(painter.decoder)
    sampler.pipe, sampler.dtype = copy.copy(sampler.pipe), torch.float64
    sampler.pipe.unet = copy.deepcopy(sampler.pipe.unet).double()
    decoder.vae = copy.deepcopy(decoder.vae).double()
    encoder = replace(encoder, model=copy.deepcopy(encoder.model).double())
    return replace(studio, painter=painter, encoder=encoder)


@pytest.mark.parametrize("keep", ["eos-cos", "full"])
def test_gradient_of_the_objective_is_that_of_finite_differences(
    keep: Literal["eos-cos", "full"], opened: Open
) -> None:
    studio = doubled(opened(Peo, PeoParams(steps=2, keep=keep, preservation=2.0)).studio)
    problem = RowProblem.of(studio, next(iter(rows(["a red cube left of a blue sphere"]))))
    problem.start = tuple(value.double() for value in problem.start)
    random = torch.Generator().manual_seed(1)
    noises = torch.randn(2, *problem.start[0].shape, generator=random, dtype=torch.float64)
    at, v, h = problem.start[0] + 0.02 * noises[0], noises[1], 1e-5
    _, (g,) = problem.gradient((at.requires_grad_(),))
    ends = [problem.value((at.detach() + sign * h * v,)) for sign in (1, -1)]
    slope = float((g * v).sum())
    assert abs(slope) > 1e-3
    found = (ends[0].objective - ends[1].objective) / (2 * h)
    assert found == pytest.approx(slope, rel=1e-4)


def test_no_head_is_opened_for_a_term_without_weight(opened: Open) -> None:
    stage = opened(Peo, PeoParams(aesthetic=0.0, head="nowhere", steps=1, iterations=1))
    assert "aesthetic" not in entry(stage.process(rows(["a red cube"])))["scores"]


def test_embeddings_that_gain_nothing_are_those_of_the_prompt(opened: Open) -> None:
    heavy = {"keep": "full", "preservation": 1e5, "steps": 1, "iterations": 2}
    stage = opened(Peo, PeoParams(aesthetic=0.0, **heavy))
    done = stage.process(rows(["a red cube"]))
    assert (entry(done)["status"], entry(done)["best_step"]) == ("unchanged", 0)
    source = stage.studio.painter.encode(next(iter(done))).embeds
    assert np.array_equal(done["prompt_embeds"][0], source.numpy())


def test_only_words_move_where_that_is_asked(opened: Open) -> None:
    stage = opened(Peo, PeoParams(aesthetic=0.0, tokens="words", steps=1, iterations=2))
    done = stage.process(rows(["a red cube", ""]))
    for row, count in zip(done, (3, 0), strict=True):
        condition = stage.studio.painter.encode(row)
        moved = (row["prompt_embeds"] != condition.embeds.numpy()).any(-1)
        assert condition.end - condition.start == count
        assert not moved[: condition.start].any()
        assert not moved[condition.end :].any()
        assert moved.sum() == count
    assert entry(done, 1)["warnings"] == ["the prompt is empty"]


def test_search_without_gradient_moves_the_words_alone(opened: Open) -> None:
    stage = opened(Peo, PeoParams(aesthetic=0.0, optimiser="sep-cmaes", steps=1))
    worded, empty = (RowProblem.of(stage.studio, row) for row in rows(["a red cube", ""]))
    assert worded.free[0].flatten().nonzero().flatten().tolist() == [1, 2, 3]
    assert empty.free[0].all()  # there is nothing else to search over


@pytest.mark.parametrize(
    ("family", "settings", "optimiser"),
    [
        ("sd", {"steps": 4, "guidance": 7.5, "scheduler": "unipc", "checkpoint": True}, "adam"),
        ("sdxl", {"steps": 1, "guidance": 0.0, "seeds": 2, "backprop": 1}, "adam"),
        ("sd3", {"steps": 1, "iterations": 1, "population": 3}, "sep-cmaes"),
    ],
)
def test_every_family_gains_or_stays(
    family: str, settings: dict[str, Any], optimiser: str, folder: Path, opened: Open
) -> None:
    given = {"iterations": 3, **SMALL, **settings, **seeing(folder)}
    stage = opened(Peo, PeoParams(model=model(folder, family), **given))
    done = stage.process(rows(["a red cube"]))
    found = entry(done)
    before, after = found["scores"]["objective"]
    assert (found["optimiser"], found["target"]) == (optimiser, "original")
    assert after > before if optimiser == "adam" else after >= before
    terms = [found["scores"][name][0] for name in ("aesthetic", "consistency", "preservation")]
    assert before == pytest.approx(0.1 * terms[0] + 0.5 * terms[1] + 0.5 * terms[2], abs=1e-5)
    assert (done["pooled_prompt_embeds"][0] is None) == (family == "sd")
    drawing = stage.runtime.stage(
        "generate", model=model(folder, family), **SMALL,
        **{name: settings[name] for name in ("steps", "guidance", "scheduler") if name in settings},
    )  # fmt: skip
    assert np.isfinite(drawing.process(done)["latents"][0]).all()
    drawing.close()


def test_noises_are_those_of_the_children_that_generate_makes(folder: Path, opened: Open) -> None:
    given = {"model": model(folder, "sd"), "steps": 1, "iterations": 1, **SMALL, **seeing(folder)}
    two = entry(opened(Peo, PeoParams(seeds=2, **given)).process(rows(["a red cube"])))
    stage = opened(Peo, PeoParams(**given))
    each = [
        entry(stage.process(Batch(("a",), {"prompt": ["a red cube"], "seed": [seed]})))
        for seed in (5, 6)
    ]
    assert two["seeds"] == [5, 6]
    mean = sum(one["scores"]["aesthetic"][0] for one in each) / 2
    assert two["scores"]["aesthetic"][0] == pytest.approx(mean, abs=1e-6)


def test_weighted_prompt_is_where_the_climb_starts(opened: Open) -> None:
    from imgtool_rewrite.weighted import Weights, WeightsParams

    weighted = opened(Weights, WeightsParams("a1111", "tabletop/turbo")).process(
        rows(["a (red:1.5) cube"])
    )
    stage = opened(Peo, PeoParams(aesthetic=0.0, preservation=1e5, keep="full", steps=1))
    done = stage.process(weighted)
    assert np.array_equal(done["prompt_embeds"][0], weighted["prompt_embeds"][0])
    assert [one["strategy"] for one in done["rewrite"][0]] == ["weights", "peo"]
    with pytest.raises(BadParams, match="made by another text encoder"):
        stage.process(weighted.with_columns(prompt_embeds_of=["another"]))


@pytest.mark.parametrize(
    ("family", "given", "error", "message"),
    [
        ("", {"head": ""}, ModelUnusable, "no aesthetic head is named"),
        ("", {"target": "recomputed", "aesthetic": 0.0}, BadParams, "nothing is to be recomputed"),
        ("sd", {"target": "optimised"}, BadParams, "text encoder of .* is not that of"),
        ("sd", {"clip": "tabletop/clip"}, ModelUnusable, "takes 16 numbers, .* gives 128"),
        ("sd3", {"optimiser": "adam"}, BadParams, "has no gradient: the loop of"),
        ("pixart", {}, ModelUnusable, "does not draw from embeddings alone"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(
    family: str, given: dict[str, Any], error: type[Exception], message: str, folder: Path,
    opened: Open,
) -> None:  # fmt: skip
    named = {"model": model(folder, family), **SMALL, **seeing(folder)} if family else {}
    with pytest.raises(error, match=message):
        opened(Peo, PeoParams(**{**named, **given}))


def test_short_memory_computes_more_and_keeps_less(
    folder: Path, opened: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = {"model": model(folder, "sd"), "steps": 2, "iterations": 1, **SMALL, **seeing(folder)}
    stage = opened(Peo, PeoParams(**given))
    plain = stage.process(rows(["a red cube"]))
    draw = stage.studio.painter.draw

    def without_room(condition: Any, seed: int, checkpoint: bool, last: int) -> torch.Tensor:
        if torch.is_grad_enabled() and not checkpoint:
            raise torch.OutOfMemoryError
        return draw(condition, seed, checkpoint, last)

    monkeypatch.setattr(stage.studio.painter, "draw", without_room)
    stage.runtime.journal = tmp_path / "again"  # or it would take up what is noted
    short = stage.process(rows(["a red cube"]))
    np.testing.assert_allclose(short["prompt_embeds"][0], plain["prompt_embeds"][0], atol=1e-6)
    assert entry(short)["warnings"] == ["memory was short: checkpoint True, through all steps"]
