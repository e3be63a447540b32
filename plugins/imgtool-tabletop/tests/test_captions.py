"""Captions say true things, and the parser hears them."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool_tabletop.captions.grammar import caption, swapped, trim
from imgtool_tabletop.captions.parse import parse
from imgtool_tabletop.captions.words import all_words
from imgtool_tabletop.training.bank import is_held_out, scene_at
from imgtool_tabletop.training.tokenizer import POSITIONS, write_tokenizer
from imgtool_tabletop.world.facts import scene_facts
from imgtool_tabletop.world.sample import EVEN, sample_scene

HELD_OUT = [4, 20, 38]  # of forty scenes by seed; it must never change


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**9))
def test_what_a_caption_says_holds_in_its_scene(seed: int) -> None:
    facts = scene_facts(sample_scene(random.Random(seed), EVEN))
    said = parse(caption(facts, seed))
    assert said.holds_in(facts)
    assert len(said.objects) == len(facts.objects)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**9))
def test_a_swapped_fact_is_false_of_the_scene(seed: int) -> None:
    rng = random.Random(seed)
    facts = scene_facts(sample_scene(rng, EVEN))
    lie = swapped(trim(facts, rng, extras=0.5), rng)
    distinct = {(o.colour, o.shape) for o in facts.objects}
    if len(distinct) == len(facts.objects):
        assert not lie.holds_in(facts)


def test_a_caption_is_the_same_for_the_same_seed() -> None:
    facts = scene_facts(scene_at(1, 5, held_out=False))
    assert caption(facts, 9) == caption(facts, 9)
    assert len({caption(facts, seed) for seed in range(20)}) > 5


def test_core_prompts_are_understood() -> None:
    said = parse("a red cube to the left of a blue sphere")
    assert [(o.colour, o.shape) for o in said.objects] == [("red", "cube"), ("blue", "sphere")]
    assert said.relations == {(0, "left of", 1)}
    assert parse("A blue cone with a red ring to its right.").relations == {(1, "right of", 0)}
    assert len(parse("three small white cubes").objects) == 3
    assert parse("nothing that it knows, 42 %").objects == ()


def test_training_never_sees_held_out_combinations() -> None:
    assert not any(is_held_out(scene_at(7, i, held_out=False)) for i in range(200))
    assert all(is_held_out(scene_at(7, i, held_out=True)) for i in range(50))


def test_the_split_stays_as_it_is() -> None:
    scenes = [sample_scene(random.Random(seed), EVEN) for seed in range(40)]
    assert [seed for seed, scene in enumerate(scenes) if is_held_out(scene)] == HELD_OUT


def test_every_word_of_the_grammar_is_one_token_and_any_text_has_some(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from transformers import CLIPTokenizer

    write_tokenizer(tmp_path)
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path)
    assert [w for w in all_words() if len(tokenizer.tokenize(w)) != 1] == []
    assert tokenizer.tokenize("naïve 猫 zebra42")
    longest = max(
        len(tokenizer(caption(scene_facts(sample_scene(random.Random(s), EVEN)), s)).input_ids)
        for s in range(300)
    )
    assert longest < POSITIONS
