"""Captions that a generator brings with it, for whoever calibrates or tunes it: `captions.txt`."""

import itertools
from typing import Final

from imgtool_tabletop.captions.grammar import caption
from imgtool_tabletop.suite import asked
from imgtool_tabletop.training.bank import scene_at
from imgtool_tabletop.world.facts import scene_facts

COUNT: Final = 200
SEED: Final = 16384


def own_captions(count: int = COUNT) -> list[str]:
    """Different captions of scenes of the training half, none of which a bench asks for."""
    kept: dict[str, None] = {}
    benched = asked()
    for index in itertools.count():
        if len(kept) == count:
            break
        text = caption(scene_facts(scene_at(SEED, index, held_out=False)), ("own", index))
        if text not in benched:
            kept[text] = None
    return list(kept)
