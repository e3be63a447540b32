"""`rewrite.expand` and `rewrite.promptist` with a random GPT-2 of one layer on disk."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from imgtool.api import Batch, InputUnreadable, ModelUnusable
from imgtool_rewrite.continuing import rephrasing
from imgtool_rewrite.continuing.loading import save_tiny
from imgtool_rewrite.continuing.stage import (
    STYLES,
    Expand,
    ExpandParams,
    Promptist,
    PromptistParams,
    read_words,
)
from imgtool_rewrite.continuing.vocabulary import Writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., Any]

PROMPTS = ("two cats in Paris, (soft light:1.2), <lora:ink:0.5>", "a {red|blue} cube.", "赤い猫 ")


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A checkpoint in the form of the published ones."""
    return str(save_tiny(tmp_path_factory.mktemp("gpt2")))


def rows(*prompts: str, **columns: Any) -> Batch:
    ids = tuple(map(str, range(len(prompts))))
    return Batch(ids, {"prompt": list(prompts), "seed": list(range(5, 5 + len(ids))), **columns})


def entry(done: Batch, at: int = 0) -> dict[str, Any]:
    record: Any = done["rewrite"][at]
    last: dict[str, Any] = record[-1]
    return last


# Tokens: 1 2 is "soft light", 1 "soft", 3 "bold", 9 a comma.
WORDS, COMMA = [(1, 2), (1,), (3,)], (9,)


def test_writer_lets_no_word_come_twice_and_no_comma_after_another() -> None:
    writer = Writer(WORDS, COMMA)
    assert sorted(writer.allowed()) == [1, 3]
    writer.write(1)
    assert (sorted(writer.allowed()), writer.words, writer.whole) == ([1, 2, 3, 9], 1, 1)
    writer.write(9)
    assert (sorted(writer.allowed()), writer.words, writer.whole) == ([1, 3], 1, 1)
    writer.write(1)
    assert (writer.allowed(), writer.whole) == ([2], 1)
    writer.write(2)
    assert (sorted(writer.allowed()), writer.words, writer.whole) == ([3, 9], 2, 4)
    writer.write(3)
    assert (writer.allowed(), writer.words) == ([], 3)


def test_whatever_is_drawn_spells_words_of_the_list() -> None:
    for seed in range(50):
        drawing, writer = random.Random(seed), Writer([*WORDS, (9, 4), (5, 6, 7)], COMMA)
        while allowed := writer.allowed():
            writer.write(drawing.choice(allowed))
        assert writer.words == 5
        assert writer.whole == len(writer.tokens)


def test_words_of_the_list_are_appended_and_the_prompt_stays(opened: Open, gpt2: str) -> None:
    done = opened(Expand, ExpandParams(gpt2)).process(rows(*PROMPTS))
    words = read_words(STYLES)
    for prompt, made in zip(PROMPTS, done.texts("prompt"), strict=True):
        start = prompt.rstrip()
        assert made.startswith(start)
        more = made.removeprefix(start).removeprefix(",").strip()
        found = []
        for part in more.split(","):
            rest = part.strip()
            while rest:
                word = max((w for w in words if f"{rest} ".startswith(f"{w} ")), key=len)
                found.append(word)
                rest = rest.removeprefix(word).strip()
        assert len(found) == len(set(found)) > 1
    assert [entry(done, at)["status"] for at in range(3)] == ["ok"] * 3
    assert entry(done)["before"] == PROMPTS[0]


def test_tokens_are_filled_to_a_multiple_and_words_are_limited(opened: Open, gpt2: str) -> None:
    # The tiny model has one token a byte.
    (full,) = opened(Expand, ExpandParams(gpt2, fill=50)).process(rows("a cat"))["prompt"]
    assert 30 < len(full) <= 50
    (few,) = opened(Expand, ExpandParams(gpt2, words=2)).process(rows("a cat"))["prompt"]
    assert full.startswith("a cat, ")
    assert len(few) < len(full)


def test_expansion_depends_on_the_rows_seed_alone(opened: Open, gpt2: str) -> None:
    stage = opened(Expand, ExpandParams(gpt2, n=2))
    batch = rows("a cat", "a cat")
    done = stage.process(batch)
    assert done.ids == ("0.0", "0.1", "1.0", "1.1")
    assert len(set(done["prompt"])) == 3  # seeds 5, 6 and 6, 7
    alone = stage.process(batch.keep([1]))
    assert list(alone["prompt"]) == list(done["prompt"])[2:]


def test_words_of_the_user_are_taken_and_those_of_the_prompt_are_not_said_again(
    opened: Open, gpt2: str, tmp_path: Path
) -> None:
    file = tmp_path / "words.txt"
    file.write_text("# mine\nat dusk\n\nred\n")
    stage = opened(Expand, ExpandParams(gpt2, vocabulary=str(file)))
    done = stage.process(rows("a red cube", "at dusk, red", "  "))
    assert list(done["prompt"]) == ["a red cube, at dusk", "at dusk, red", "  "]
    assert [entry(done, at).get("why") for at in range(3)] == [
        None, "no word fits", "there is no prompt",
    ]  # fmt: skip


def test_prompt_longer_than_the_model_reads_is_expanded_from_its_end(
    opened: Open, gpt2: str
) -> None:
    prompt = "a very long story " * 60
    (made,) = opened(Expand, ExpandParams(gpt2)).process(rows(prompt))["prompt"]
    assert made.startswith(f"{prompt.rstrip()}, ")


def test_list_without_words_is_refused(opened: Open, gpt2: str, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("# none\n")
    with pytest.raises(InputUnreadable, match="holds no words"):
        opened(Expand, ExpandParams(gpt2, vocabulary=str(tmp_path / "words.txt")))


def test_promptist_reads_the_cue_and_keeps_its_likeliest_beam(opened: Open, gpt2: str) -> None:
    import torch

    stage = opened(Promptist, PromptistParams(gpt2, beams=3, max_tokens=12))
    done = stage.process(rows("  a cat "))
    llm = stage.llm
    ids = llm.tokenizer("a cat Rephrase:", return_tensors="pt").input_ids
    with torch.inference_mode():
        made = llm.model.generate(
            ids, attention_mask=torch.ones_like(ids), num_beams=3, max_new_tokens=12,
            length_penalty=-1.0, do_sample=False, pad_token_id=llm.tokenizer.eos_token_id,
        )  # fmt: skip
    text = llm.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)
    assert list(done["prompt"]) == [" ".join(text.split())]
    assert (entry(done)["status"], entry(done)["beam"]) == ("ok", 0)


def test_promptist_passes_a_beam_over_that_loses_what_was_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    beams = ("", "cats, artstation", "2 cats in Paris, soft light, artstation", "2 cats in Paris")
    monkeypatch.setattr(rephrasing, "beams_of", lambda *_: beams)
    found = rephrasing.rephrase(object(), PROMPTS[0], 4, 75)  # type: ignore[arg-type]
    assert found.beam == 2
    assert found.prompt == "2 cats in Paris, (soft light:1.2), artstation, <lora:ink:0.5>"


def test_promptist_leaves_prompts_whose_names_no_beam_keeps(opened: Open, gpt2: str) -> None:
    stage = opened(Promptist, PromptistParams(gpt2, beams=2, max_tokens=4))
    done = stage.process(rows(PROMPTS[0], " ", "a cat " * 100))
    assert list(done["prompt"]) == [PROMPTS[0], " ", "a cat " * 100]
    assert [entry(done, at)["status"] for at in range(3)] == ["unchanged"] * 3
    assert "'Paris'" in entry(done)["why"]
    assert "longer than the model reads" in entry(done, 2)["why"]


def test_checkpoint_without_a_tokenizer_takes_one_by_name(
    opened: Open, gpt2: str, tmp_path: Path
) -> None:
    import shutil
    from pathlib import Path

    for name in ("config.json", "model.safetensors", "generation_config.json"):
        shutil.copy(Path(gpt2) / name, tmp_path)
    with pytest.raises(ModelUnusable, match="comes without a tokenizer"):
        opened(Promptist, PromptistParams(str(tmp_path)))
    params = {"beams": 2, "max_tokens": 4}
    stage = opened(Promptist, PromptistParams(str(tmp_path), tokenizer=gpt2, **params))
    whole = opened(Promptist, PromptistParams(gpt2, **params))
    assert stage.process(rows("a cat"))["prompt"] == whole.process(rows("a cat"))["prompt"]
