"""Pipelines from TOML: what is wrong is named with file and line; overrides and sweeps."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from imgtool.components import Component
from imgtool.declared import spec_of
from imgtool.errors import (
    BadParams,
    BadPipeline,
    ImgtoolError,
    InputMissing,
    InputUnreadable,
    UnknownComponent,
)
from imgtool.fields import IMAGE, PROMPT
from imgtool.pipeline import (
    Pipeline,
    StageUse,
    find_pipeline,
    load_pipeline,
    override,
    read_pipelines,
    resolve,
    settings_name,
    sweep,
)
from imgtool.registry import Registry
from imgtool.spec_cache import Declared, Plugin
from imgtool.stages import Bounds, Maker, ModelRef, Stage

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class GenerateParams:
    model: Annotated[str, ModelRef("text-to-image")] = "tabletop"
    steps: Annotated[int, Bounds(1)] = 20
    guidance: float = 4.0
    loras: tuple[str, ...] = ()


@dataclass(frozen=True)
class UpscaleParams:
    model: Annotated[str, ModelRef("super-resolution")] = "tabletop/sr"
    scale: int = 2


@dataclass(frozen=True)
class PruneParams:
    model: Annotated[str, ModelRef("text-to-image")] = "tabletop"
    sparsity: Annotated[float, Bounds(0, 1)] = 0.5


class Generate(Stage[GenerateParams]):
    """Draws."""

    id = "generate.diffusers"
    consumes, produces = (PROMPT,), (IMAGE,)


class Upscale(Stage[UpscaleParams]):
    """Enlarges."""

    id = "sr.lanczos"


class Score(Stage[None]):
    """Judges."""

    id = "score.clip"


class Prune(Maker[PruneParams]):
    """Makes a smaller model."""

    id = "prune.obs"
    task = "text-to-image"


PIPELINES = """\
# how we draw
[portrait]
description = \"\"\"
[[not.a.header]]
nor = "a key"
\"\"\"
model = "other"

[portrait.models.slim]
use = "prune.obs"
sparsity = 0.25

[[portrait.stage]]
use = "generate"
steps = 8

[[portrait.stage]]
use = "score.clip"

[[portrait.stage]]
use = "generate"
name = "again"
model = "@slim"
from = "generate"

[[portrait.stage]]
use = "sr"
scale = 4

[short]
stage = [{use = "generate", steps = 2}]
"""


@pytest.fixture
def registry() -> Registry:
    classes: list[tuple[str, type]] = [
        ("stage", Generate), ("stage", Upscale), ("stage", Score), ("maker", Prune),
    ]  # fmt: skip
    specs = tuple(
        spec_of(Component(kind, cls.id, f"x:{cls.__name__}", dist="d"), cls)  # type: ignore[attr-defined]
        for kind, cls in classes
    )
    components = [Component(spec.kind, spec.id, spec.where, dist="d") for spec in specs]
    components.append(Component("model", "tabletop/sr", "x:y", meta={"task": "super-resolution"}))
    known = {(spec.kind, spec.id): spec for spec in specs}
    return Registry([Declared(Plugin("d", "d", "d", ""), tuple(components), known)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pipelines.toml"
    path.write_text(PIPELINES, encoding="utf-8")
    return path


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "p.toml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def test_file_is_read_as_written(file: Path) -> None:
    portrait = read_pipelines(file)["portrait"]
    assert [use.label for use in portrait.stages] == ["generate", "score.clip", "again", "sr"]
    assert [use.line for use in portrait.stages] == [13, 17, 20, 26]
    assert portrait.stages[2].upstream == "generate"
    assert portrait.stages[2].params == {"model": "@slim"}
    assert (portrait.makers[0].name, portrait.makers[0].line) == ("slim", 9)
    assert portrait.defaults == {"model": "other"}


def test_default_model_reaches_params_of_its_task_only(file: Path, registry: Registry) -> None:
    portrait = load_pipeline(f"{file}:portrait", registry)
    assert [use.params.get("model") for use in portrait.stages] == ["other", None, "@slim", None]
    assert portrait.makers[0].params["model"] == "other"


def test_default_model_of_another_task_goes_elsewhere(file: Path, registry: Registry) -> None:
    portrait = load_pipeline(f"{file}:portrait", registry, {"model": "tabletop/sr"})
    assert [use.params.get("model") for use in portrait.stages] == [
        None, None, "@slim", "tabletop/sr",
    ]  # fmt: skip


def test_maker_can_be_the_default_model(file: Path, registry: Registry) -> None:
    with pytest.raises(ImgtoolError, match="names no model"):
        load_pipeline(f"{file}:short", registry, {"generate.model": "@slim"})


@pytest.mark.parametrize(
    "ref", ["portrait", "pipelines.toml:portrait", "./pipelines.toml:portrait"]
)
def test_reference_forms(ref: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert find_pipeline(ref).name == "portrait"


def test_file_of_one_pipeline_needs_no_name(tmp_path: Path) -> None:
    path = written(tmp_path, '[[only.stage]]\nuse = "sr"\n')
    assert find_pipeline(str(path)).name == "only"


def test_unknown_pipeline_has_a_near_match(file: Path) -> None:
    with pytest.raises(UnknownComponent, match="has no pipeline 'portait'") as caught:
        find_pipeline(f"{file}:portait")
    assert caught.value.hint.startswith("did you mean 'portrait'?")


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match=r"none\.toml"):
        find_pipeline(str(tmp_path / "none.toml"))
    (tmp_path / "latin.toml").write_bytes(b'# caf\xe9\n[a]\nuse = "x"\n')
    with pytest.raises(InputUnreadable, match=r"latin\.toml"):
        find_pipeline(str(tmp_path / "latin.toml"))


WRONG = {
    "no TOML": ('[a]\nmodel = "x\n', r"p\.toml:2:\d+: not valid TOML"),
    "key outside": ('model = "x"\n[a]\nstage = []\n', r"p\.toml:1: 'model' stands outside"),
    "no stages": ("\n[a]\n", r"p\.toml:2: \[a\] has no stages"),
    "unknown key": (
        '[a]\nmodle = "x"\n[[a.stage]]\nuse = "sr"\n',
        r":2: \[a\] unknown key 'modle'",
    ),
    "one table": ('[a.stage]\nuse = "sr"\n', r"p\.toml:1: \[a\] 'stage' is no list of tables"),
    "no use": ("[[a.stage]]\nscale = 2\n", r"p\.toml:1: \[a\] stage 1: 'use' is missing"),
    "use no text": ("[[a.stage]]\nuse = 3\n", r"p\.toml:2: \[a\] stage 1: 'use' takes text, not 3"),
    "from later": (
        '[[a.stage]]\nuse = "sr"\nfrom = "b"\n[[a.stage]]\nuse = "sr"\nname = "b"\n',
        r"p\.toml:3: \[a\] stage 1 \(sr\): from = 'b' names no earlier stage",
    ),
    "two names": (
        '[[a.stage]]\nuse = "sr"\nname = "b"\n[[a.stage]]\nuse = "sr"\nname = "b"\n',
        r"p\.toml:6: \[a\] stage 2: an earlier stage is named 'b'",
    ),
    "name of the input": (
        '[[a.stage]]\nuse = "sr"\nname = "source"\n',
        r"p\.toml:3: \[a\] stage 1: the input rows are named 'source' already",
    ),
    "bad name": (
        '[[a.stage]]\nuse = "sr"\nname = "../b"\n',
        r":3: \[a\] stage 1: '../b' is no name",
    ),
    "models": ('[a]\nmodels = 3\n[[a.stage]]\nuse = "sr"\n', r":2: \[a\] 'models' is no table"),
}


@pytest.mark.parametrize("what", WRONG)
def test_malformed_file_names_its_line(what: str, tmp_path: Path) -> None:
    text, message = WRONG[what]
    with pytest.raises(BadPipeline, match=message):
        read_pipelines(written(tmp_path, text))


UNFIT: dict[str, tuple[str, type[ImgtoolError], str, str]] = {
    "unknown stage": (
        '\n[[a.stage]]\nuse = "genrate"\n', UnknownComponent,
        r"p\.toml:3: \[a\] stage 1 \(genrate\): unknown stage 'genrate'", "'generate'",
    ),
    "unknown key": (
        '[[a.stage]]\nuse = "score.clip"\n[[a.stage]]\nuse = "generate"\n\nguidence = 3\n',
        BadPipeline, r"p\.toml:6: \[a\] stage 2 \(generate\): unknown parameter 'guidence'",
        "'guidance'",
    ),
    "wrong type": (
        '[[a.stage]]\nuse = "generate"\nsteps = "many"\n', BadPipeline,
        r"p\.toml:3: \[a\] stage 1 \(generate\): 'steps' takes a whole number", "",
    ),
    "out of bounds": (
        '[[a.stage]]\nuse = "generate"\nguidance = 2\nsteps = -1\n', BadPipeline,
        r"p\.toml:4: \[a\] stage 1 \(generate\): 'steps' must be 1 or more, not -1", "",
    ),
    "no such model": (
        '[a.models.slim]\nuse = "prune.obs"\n[[a.stage]]\nuse = "generate"\nmodel = "@slin"\n',
        BadPipeline, r"p\.toml:5: .*'@slin' names no model", "'slim'",
    ),
    "model of another task": (
        '[a.models.slim]\nuse = "prune.obs"\n[[a.stage]]\nuse = "sr"\nmodel = "@slim"\n',
        BadPipeline, r"p\.toml:5: .*for text-to-image, not for super-resolution", "",
    ),
    "maker": (
        '[a.models.slim]\nuse = "prune.obs"\nsparsity = 2\n[[a.stage]]\nuse = "sr"\n',
        BadPipeline, r"p\.toml:3: \[a\] model 'slim': 'sparsity' must be 1 or less", "",
    ),
    "default": (
        '[a]\nseed = "x"\n[[a.stage]]\nuse = "sr"\n', BadPipeline,
        r"p\.toml:2: \[a\]: 'seed' takes a whole number, not 'x'", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", UNFIT)
def test_pipeline_that_fits_no_stage_names_its_line(
    what: str, tmp_path: Path, registry: Registry
) -> None:
    text, error, message, hint = UNFIT[what]
    with pytest.raises(error, match=message) as caught:
        load_pipeline(str(written(tmp_path, text)), registry)
    assert hint in caught.value.hint


def test_overrides_are_read_as_their_types(file: Path, registry: Registry) -> None:
    changed = load_pipeline(
        f"{file}:portrait",
        registry,
        {
            "generate.steps": "30",
            "again.loras": "a:0.5,b",
            "models.slim.sparsity": "0.75",
            "seed": "7",
            "sr.scale": 3,
        },
    )
    assert changed.stages[0].params["steps"] == 30
    assert changed.stages[2].params["loras"] == ["a:0.5", "b"]
    assert changed.stages[3].params["scale"] == 3
    assert changed.makers[0].params["sparsity"] == 0.75
    assert changed.defaults["seed"] == 7


@pytest.mark.parametrize(
    ("key", "value", "message", "hint"),
    [
        ("genrate.steps", "3", "'genrate.steps' names no stage", "'generate'"),
        ("generate.step", "3", "unknown parameter 'step'", "'steps'"),
        ("generate.steps", "x", "'steps' takes a whole number", ""),
        ("generate.steps", "0", "'steps' must be 1 or more", ""),
        ("modell", "x", "'modell' is no key of the pipeline", "'model'"),
        ("steps", "3", "'steps' is no key of the pipeline", "LABEL.KEY"),
    ],
)
def test_wrong_overrides_are_refused(
    key: str, value: str, message: str, hint: str, file: Path, registry: Registry
) -> None:
    with pytest.raises(BadParams, match=message) as caught:
        load_pipeline(f"{file}:portrait", registry, {key: value})
    assert hint in caught.value.hint


def test_family_addresses_its_only_stage(registry: Registry) -> None:
    pipeline = Pipeline("p", "", (StageUse("generate.diffusers"), StageUse("sr.lanczos")))
    assert override(pipeline, {"sr.scale": "4"}, registry).stages[1].params == {"scale": 4}


def test_family_of_two_stages_is_ambiguous(registry: Registry) -> None:
    stages = (StageUse("generate.diffusers", "a"), StageUse("generate.diffusers", "b"))
    with pytest.raises(BadParams, match="could mean several stages") as caught:
        override(Pipeline("p", "", stages), {"generate.steps": "4"}, registry)
    assert "a, b" in caught.value.hint


def test_sweep_is_every_combination(file: Path, registry: Registry) -> None:
    portrait = load_pipeline(f"{file}:portrait", registry)
    found = sweep(portrait, {"generate.guidance": ["1", "4"], "sr.scale": ["2", "3"]}, registry)
    assert [suffix for suffix, _ in found] == [
        "guidance=1,scale=2", "guidance=1,scale=3", "guidance=4,scale=2", "guidance=4,scale=3",
    ]  # fmt: skip
    assert found[1][1].stages[0].params["guidance"] == 1.0
    assert found[1][1].stages[3].params["scale"] == 3


def test_sweep_of_the_default_model_reaches_stages(file: Path, registry: Registry) -> None:
    portrait = load_pipeline(f"{file}:portrait", registry)
    found = sweep(portrait, {"model": ["some/path", "b"]}, registry)
    assert [suffix for suffix, _ in found] == ["model=some_path", "model=b"]
    assert [p.stages[0].params["model"] for _, p in found] == ["some/path", "b"]


def test_sweep_suffixes_differ_where_keys_share_a_name(file: Path, registry: Registry) -> None:
    portrait = load_pipeline(f"{file}:portrait", registry)
    found = sweep(portrait, {"generate.steps": [1], "again.steps": [2]}, registry)
    assert found[0][0] == "generate.steps=1,again.steps=2"


def test_a_name_of_long_settings_is_short_and_still_of_them_alone() -> None:
    one, other = (settings_name({"a.text": "word " * 50 + end}) for end in ("x", "y"))
    assert one != other
    assert one.startswith("text=word_word_")
    assert {len(name) for name in (one, other)} == {80}


def test_sweep_without_values_is_refused(file: Path, registry: Registry) -> None:
    with pytest.raises(BadParams, match="has no values"):
        sweep(load_pipeline(f"{file}:short", registry), {"generate.steps": []}, registry)


def test_resolved_pipeline_survives_json(file: Path, registry: Registry) -> None:
    portrait = load_pipeline(f"{file}:portrait", registry)
    again = Pipeline.from_json(portrait.as_json())
    assert again.as_json() == portrait.as_json()
    assert [use.params for use in resolve(again, registry).stages] == [
        use.params for use in portrait.stages
    ]


def test_labels_of_repeated_stages_get_numbers(tmp_path: Path) -> None:
    text = '[[a.stage]]\nuse = "sr"\n[[a.stage]]\nuse = "d:sr"\n[[a.stage]]\nuse = "sr"\n'
    labels: list[Any] = [use.label for use in read_pipelines(written(tmp_path, text))["a"].stages]
    assert labels == ["sr", "sr-2", "sr-3"]
