"""`score.vqa`: chances of yes from models and services, and questions that depend on others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from chat_server import ChatServer
from PIL import Image
from tiny_scorers import pictures, save_blip_vqa

from imgtool.api import BadParams, Batch, EndpointDown, ModelUnusable
from imgtool_score.asking import TEMPLATE, Vqa, VqaParams
from imgtool_score.decompose import Question, given_questions, questions_of, settled
from imgtool_score.seeing import Ask
from imgtool_score.tiny import save_git

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., Any]


@pytest.fixture(scope="module")
def tiny_git(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GitForCausalLM of random weights that knows a few words."""
    return save_git(tmp_path_factory.mktemp("models") / "git")


@pytest.fixture(scope="module")
def tiny_blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BlipForQuestionAnswering of random weights that knows a few words."""
    return save_blip_vqa(tmp_path_factory.mktemp("models") / "blip")


def rows(prompts: list[str], **columns: list[Any]) -> Batch:
    ids = tuple(map(str, range(len(prompts))))
    return Batch(ids, {"prompt": prompts, "image": pictures(len(prompts)), **columns})


def loglike(yes: float, no: float) -> dict[str, float]:
    return {"Yes": math.log(yes), " yes": math.log(yes), "No": math.log(no), "maybe": math.log(0.1)}


def test_service_gives_the_closed_form_of_its_log_probabilities(opened: Open) -> None:
    with ChatServer(lambda text, picture: loglike(0.3, 0.2)) as server:
        stage = opened(Vqa, VqaParams(model="", endpoint=server.url))
        done = stage.process(rows(["a red cube", ""]))
    assert done["score.vqa"][0] == pytest.approx(0.6)
    assert done["score.vqa_pass"][0] == 1.0
    record = done["score_info.vqa"][0]
    assert record["share"] == pytest.approx(0.75)
    assert record["yes"] + record["no"] <= 1
    assert done["score.vqa"][1] is None
    assert server.texts == ['Does this figure show "a red cube"? Please answer Yes or No.']
    assert server.requests[0]["max_tokens"] == 1


def test_service_without_log_probabilities_stops_the_run(opened: Open) -> None:
    with ChatServer(lambda text, picture: "yes") as server:
        stage = opened(Vqa, VqaParams(model="", endpoint=server.url))
        with pytest.raises(EndpointDown, match="no log-probabilities"):
            stage.process(rows(["a red cube"]))


def next_token(folder: Path, image: Any, text: str) -> tuple[torch.Tensor, Any]:
    """Softmax of the next token by the whole library model."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    inputs = processor(images=Image.fromarray(image), text=text, return_tensors="pt")
    with torch.no_grad():
        logits = AutoModelForImageTextToText.from_pretrained(folder).eval()(**inputs).logits
    return logits[0, -1].double().softmax(-1), processor.tokenizer


def test_model_gives_its_softmax_over_all_spellings(tiny_git: Path, opened: Open) -> None:
    batch = rows(["a red cube", "two cones"])
    done = opened(Vqa, VqaParams(model=str(tiny_git), question="is there {}?")).process(batch)
    for at, prompt in enumerate(["a red cube", "two cones"]):
        p, tokenizer = next_token(tiny_git, batch["image"][at], f"is there {prompt}?")
        ids = tokenizer.convert_tokens_to_ids
        assert done["score.vqa"][at] == pytest.approx(
            float(p[ids("yes")] + p[ids("Yes")]), abs=1e-5
        )
        no = float(p[ids("no")])
        assert done["score_info.vqa"][at]["no"] == pytest.approx(no, abs=1e-5)


def test_batch_equals_singles_in_any_order(tiny_git: Path, opened: Open) -> None:
    batch = rows(["a red cube", "two cones", "a cube"])
    stage = opened(Vqa, VqaParams(model=str(tiny_git), question="is there {}?"))
    together = stage.process(batch)["score.vqa"]
    backwards = stage.process(batch.keep([2, 1, 0]))["score.vqa"]
    fresh = opened(Vqa, VqaParams(model=str(tiny_git), question="is there {}?"))
    alone = [fresh.process(batch.keep([at]))["score.vqa"][0] for at in range(3)]
    assert together == pytest.approx(alone, abs=1e-5)
    assert backwards[::-1] == pytest.approx(alone, abs=1e-5)


def test_blip_answers_with_the_first_token_of_its_decoder(tiny_blip: Path, opened: Open) -> None:
    from transformers import AutoProcessor, BlipForQuestionAnswering

    batch = rows(["a red cube"])
    done = opened(Vqa, VqaParams(model=str(tiny_blip), question="is there {}?")).process(batch)
    net = BlipForQuestionAnswering.from_pretrained(tiny_blip).eval()
    processor = AutoProcessor.from_pretrained(tiny_blip)
    inputs = processor(
        images=Image.fromarray(batch["image"][0]), text="is there a red cube?", return_tensors="pt"
    )
    made = net.generate(
        **inputs, max_new_tokens=1, output_logits=True, return_dict_in_generate=True
    )
    p = made.logits[0][0].double().softmax(-1)
    ids = processor.tokenizer.convert_tokens_to_ids
    assert done["score.vqa"][0] == pytest.approx(float(p[ids("yes")] + p[ids("Yes")]), abs=1e-5)


def test_local_model_says_what_the_library_generates(tiny_git: Path, opened: Open) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    images = pictures(2)
    seer = opened(Vqa, VqaParams(model=str(tiny_git))).seer
    said = seer.say([Ask(image, "is there a cube?", 6) for image in images])
    processor = AutoProcessor.from_pretrained(tiny_git)
    net = AutoModelForImageTextToText.from_pretrained(tiny_git).eval()
    for image, text in zip(images, said, strict=True):
        given = processor(
            images=Image.fromarray(image), text="is there a cube?", return_tensors="pt"
        )
        made = net.generate(**given, max_new_tokens=6, do_sample=False)
        rest = made[0, given.input_ids.shape[1] :]
        assert text == processor.tokenizer.decode(rest, skip_special_tokens=True).strip()


def test_question_without_a_place_for_the_prompt_is_refused(opened: Open) -> None:
    with pytest.raises(BadParams, match="no place for the prompt"):
        opened(Vqa, VqaParams(model="", question="Is it good?"))


def test_model_that_cannot_say_yes_is_refused(tmp_path: Path, opened: Open) -> None:
    folder = save_git(tmp_path / "mute", words="is there a red cube ?".split())
    stage = opened(Vqa, VqaParams(model=str(folder), question="is there {}?"))
    with pytest.raises(ModelUnusable, match="no spelling of 'yes'"):
        stage.process(rows(["a red cube"]))


def test_default_question_is_frozen() -> None:
    assert TEMPLATE == 'Does this figure show "{}"? Please answer Yes or No.'


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a cube", [("is there a cube?", ())]),
        ("the two cubes", [("are there cubes?", ()), ("are there two cubes?", (0,))]),
        (
            "a red cube to the left of two blue cones",
            [
                ("is there a cube?", ()),
                ("is there a red cube?", (0,)),
                ("are there cones?", ()),
                ("are there blue cones?", (2,)),
                ("are there two blue cones?", (2,)),
                ("is the red cube to the left of the blue cones?", (1, 4)),
            ],
        ),
        (
            "A cube and an orange ball.",
            [
                ("is there a cube?", ()),
                ("is there a ball?", ()),
                ("is there an orange ball?", (1,)),
            ],
        ),
        (
            "3D render, 50mm lens",
            [("does the picture show 3d render, 50mm lens?", ())],
        ),
    ],
)
def test_prompt_is_taken_apart(prompt: str, expected: list[tuple[str, tuple[int, ...]]]) -> None:
    assert [(q.text, q.parents) for q in questions_of(prompt)] == expected


def test_child_fails_with_its_parent_through_three_generations() -> None:
    chain = [Question("a", ""), Question("b", "", (0,)), Question("c", "", (1,))]
    assert settled([0.9, 0.8, 0.7], chain, 0.5) == [0.9, 0.8, 0.7]
    assert settled([0.4, 0.8, 0.7], chain, 0.5) == [0.4, 0.0, 0.0]
    assert settled([0.9, 0.3, 0.7], chain, 0.5) == [0.9, 0.3, 0.0]


def test_parts_are_scored_each_and_the_record_says_how(opened: Open) -> None:
    def reply(text: str, picture: Any) -> dict[str, float]:
        return loglike(0.4, 0.2) if "red" not in text else loglike(0.1, 0.8)

    with ChatServer(reply) as server:
        params = VqaParams(model="", endpoint=server.url, decompose="rules")
        done = opened(Vqa, params).process(rows(["a red cube on a table"]))
    records = done["score_info.vqa"][0]["questions"]
    assert [item["text"] for item in records] == [
        "is there a cube?", "is there a red cube?", "is there a table?",
        "is the red cube on the table?",
    ]  # fmt: skip
    assert [item["value"] for item in records] == pytest.approx([0.8, 0.2, 0.8, 0.0])
    assert done["score.vqa"][0] == pytest.approx(0.45)
    assert done["score.vqa_pass"] == [0.0]


@pytest.mark.parametrize("decompose", ["none", "rules"])
def test_answer_that_is_no_number_gives_no_score_and_no_verdict(
    decompose: Any, opened: Open
) -> None:
    with ChatServer(lambda text, picture: {"Yes": math.nan, "No": -1.0}) as server:
        params = VqaParams(model="", endpoint=server.url, decompose=decompose)
        done = opened(Vqa, params).process(rows(["a red cube"]))
    assert (done["score.vqa"], done["score.vqa_pass"]) == ([None], [None])
    assert done["score_info.vqa"][0]["error"] == "the model gave NaN"
    assert "questions" not in done["score_info.vqa"][0]


def test_questions_of_the_row_are_asked_as_given(opened: Open) -> None:
    questions = [["is it day?", {"text": "is the sun up?", "parents": [0]}]]
    with ChatServer(lambda text, picture: loglike(0.4, 0.1)) as server:
        params = VqaParams(model="", endpoint=server.url, decompose="given")
        done = opened(Vqa, params).process(rows(["a day"], questions=questions))
    assert sorted(server.texts) == ["is it day?", "is the sun up?"]
    assert done["score.vqa_pass"] == [1.0]


@pytest.mark.parametrize(
    "bad", [None, [], "text", [{"no": "text"}], [{"text": "a", "parents": [0]}]]
)
def test_questions_that_are_none_fail_their_row_alone(bad: Any, opened: Open) -> None:
    with pytest.raises(ValueError):
        given_questions(bad)
    with ChatServer(lambda text, picture: loglike(0.4, 0.1)) as server:
        params = VqaParams(model="", endpoint=server.url, decompose="given")
        done = opened(Vqa, params).process(rows(["a", "b"], questions=[bad, ["is it b?"]]))
    assert "the field 'questions'" in done.failures["0"].reason
    assert done.ids == ("1",)
    assert done["score.vqa_pass"] == [1.0]
