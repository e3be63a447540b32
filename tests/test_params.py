"""Values of parameters: parsing, checking, canonical form, and the params instance."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.declared import DeclarationError, param_specs
from imgtool.errors import BadParams
from imgtool.params import as_json, cheap_check, parse_reference, parse_value, validate
from imgtool.specs import Spec
from imgtool.stages import Bounds, Choices, Help


class Lens(StrEnum):
    ROUND = "round"
    HEXAGON = "hexagon"


@dataclass(frozen=True)
class Params:
    steps: Annotated[int, Help("Denoising steps."), Bounds(1, 100)] = 20
    guidance: Annotated[float, Bounds(0)] = 7.0
    tiling: bool = False
    lens: Lens = Lens.ROUND
    fit: Literal["crop", "pad"] = "crop"
    scheduler: Annotated[str, Choices(("ddim", "euler"), closed=False)] = "ddim"
    loras: Annotated[tuple[str, ...], Help("Adapters.")] = ()
    weights: Annotated[list[float], Bounds(0, 1)] | None = None
    extra: dict[str, Any] | None = None


@dataclass(frozen=True)
class Square:
    size: int
    margin: int = 0

    def __post_init__(self) -> None:
        if self.margin * 2 >= self.size:
            raise ValueError("the margin leaves no picture")


SPEC = Spec("stage", "generate.x", 1, "", "row", (), (), param_specs(Params), "d", "m:C")


def test_defaults_fill_in_canonically() -> None:
    assert cheap_check(SPEC, {}) == {
        "steps": 20,
        "guidance": 7.0,
        "tiling": False,
        "lens": "round",
        "fit": "crop",
        "scheduler": "ddim",
        "loras": [],
        "weights": None,
        "extra": None,
    }


def test_equal_settings_have_equal_canonical_forms() -> None:
    texts = [
        json.dumps(cheap_check(SPEC, values))
        for values in ({"guidance": 4, "loras": ("a",)}, {"loras": ["a"], "guidance": 4.0})
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "'steps' must be 1 or more, not 0"),
        ({"steps": 101}, "'steps' must be 100 or less, not 101"),
        ({"steps": 2.5}, "'steps' takes a whole number, not 2.5"),
        ({"steps": "20"}, "'steps' takes a whole number, not '20'"),
        ({"steps": True}, "'steps' takes a whole number, not True"),
        ({"steps": None}, "'steps' takes a whole number, not None"),
        ({"guidance": float("nan")}, "'guidance' must be a finite number, not nan"),
        ({"guidance": float("inf")}, "'guidance' must be a finite number, not inf"),
        ({"tiling": 1}, "'tiling' takes true or false, not 1"),
        ({"lens": "square"}, "'lens' has no choice 'square'"),
        ({"fit": "corp"}, "'fit' has no choice 'corp'"),
        ({"loras": "a"}, "'loras' takes a list, not 'a'"),
        ({"loras": [1]}, "'loras' takes text, not 1"),
        ({"weights": [0.5, 2]}, "'weights' must be 1 or less, not 2"),
        ({"extra": [1]}, "'extra' takes a table, not"),
        ({"guidence": 4}, "unknown parameter 'guidence'"),
    ],
)
def test_wrong_values_are_refused_by_both_checks(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BadParams) as cheap:
        cheap_check(SPEC, values)
    with pytest.raises(BadParams) as full:
        validate(Params, values)
    assert cheap.value.message.startswith(f"generate.x: {message}")
    assert full.value.message.startswith(f"Params: {message}")


@pytest.mark.parametrize("address", ["http://me:sesame@host/v1", "https://sesame@host:80"])
def test_an_address_with_a_password_is_refused_before_it_could_be_kept(address: str) -> None:
    for values in ({"scheduler": address}, {"loras": ["a", address]}):
        with pytest.raises(BadParams, match="holds a password") as caught:
            cheap_check(SPEC, values)
        assert "sesame" not in caught.value.message + caught.value.hint
    assert cheap_check(SPEC, {"scheduler": "http://host/v1@2"})["scheduler"] == "http://host/v1@2"


def test_mistyped_names_and_choices_have_near_matches() -> None:
    with pytest.raises(BadParams) as name:
        cheap_check(SPEC, {"guidence": 4})
    assert name.value.hint.startswith("did you mean 'guidance'?")
    with pytest.raises(BadParams) as choice:
        cheap_check(SPEC, {"lens": "hexagn"})
    assert choice.value.hint.startswith("did you mean 'hexagon'?")


def test_open_choices_are_only_offered() -> None:
    assert cheap_check(SPEC, {"scheduler": "mine"})["scheduler"] == "mine"


def test_required_parameter_must_be_given() -> None:
    with pytest.raises(BadParams, match="'size' must be given"):
        validate(Square, {"margin": 1})


def test_validate_makes_declared_types() -> None:
    made = validate(Params, {"lens": "hexagon", "loras": ["a:0.5"], "guidance": 4})
    assert made == Params(lens=Lens.HEXAGON, loras=("a:0.5",), guidance=4.0)
    assert isinstance(made.lens, Lens)
    assert isinstance(made.guidance, float)


def test_rules_of_the_dataclass_itself_are_kept() -> None:
    with pytest.raises(BadParams, match="Square: the margin leaves no picture"):
        validate(Square, {"size": 8, "margin": 4})


def test_instance_and_values_agree_on_the_canonical_form() -> None:
    values = {"steps": 3, "guidance": 1, "lens": "hexagon", "weights": [1]}
    assert as_json(validate(Params, values)) == cheap_check(SPEC, values)
    assert as_json(Params()) == cheap_check(SPEC, {})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("steps", "30", 30),
        ("guidance", "1e1", 10.0),
        ("tiling", "yes", True),
        ("tiling", "FALSE", False),
        ("lens", "hexagon", "hexagon"),
        ("loras", "a:0.5, b", ["a:0.5", "b"]),
        ("loras", '["a,b"]', ["a,b"]),
        ("loras", "", []),
        ("weights", "0.5,1", [0.5, 1.0]),
        ("weights", "none", None),
        ("extra", '{"a": 1}', {"a": 1}),
    ],
)
def test_text_is_read_as_the_declared_type(name: str, text: str, value: object) -> None:
    param = SPEC.param(name)
    assert param is not None
    assert parse_value(param, text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("steps", "3.5"),
        ("guidance", "much"),
        ("tiling", "maybe"),
        ("weights", "[1"),
        ("extra", "a"),
    ],
)
def test_text_of_another_type_is_refused(name: str, text: str) -> None:
    param = SPEC.param(name)
    assert param is not None
    with pytest.raises(BadParams, match=f"'{name}' takes"):
        parse_value(param, text)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "steps": st.integers(1, 100),
            "guidance": st.floats(0, 1e6),
            "tiling": st.booleans(),
            "lens": st.sampled_from(["round", "hexagon"]),
            "loras": st.lists(st.text(), max_size=3),
            "weights": st.none() | st.lists(st.floats(0, 1), max_size=3),
        },
    )
)
def test_canonical_form_is_stable(values: dict[str, Any]) -> None:
    checked = cheap_check(SPEC, values)
    assert cheap_check(SPEC, json.loads(json.dumps(checked))) == checked
    assert as_json(validate(Params, checked)) == checked


def test_types_that_no_shell_can_give_are_refused() -> None:
    @dataclass(frozen=True)
    class Odd:
        where: set[int] | None = None

    with pytest.raises(DeclarationError, match="'where' has type"):
        param_specs(Odd)


def test_paths_are_texts() -> None:
    @dataclass(frozen=True)
    class Files:
        lut: Path | None = None

    assert param_specs(Files)[0].type == "str"
    assert as_json(Files(Path("a/b"))) == {"lut": "a/b"}


@pytest.mark.parametrize(
    ("text", "name", "given"),
    [
        ("generate", "generate", {}),
        ("generate:steps=5", "generate", {"steps": 5}),
        ("plugin:generate.x", "plugin:generate.x", {}),
        ("plugin:generate.x:fit=pad,weights=0.5,1", "plugin:generate.x",
         {"fit": "pad", "weights": [0.5, 1.0]}),
        ("generate:scheduler=http://x:1/a,b,tiling=yes", "generate",
         {"scheduler": "http://x:1/a,b", "tiling": True}),
    ],
)  # fmt: skip
def test_a_reference_to_a_stage_names_it_and_its_parameters(
    text: str, name: str, given: dict[str, object]
) -> None:
    asked: list[str] = []

    def spec_of(wanted: str) -> Spec:
        asked.append(wanted)
        return SPEC

    assert parse_reference(text, spec_of) == (SPEC, given)
    assert asked == [name]


def test_a_reference_with_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(BadParams, match="unknown parameter 'step'"):
        parse_reference("generate:step=5", lambda name: SPEC)
