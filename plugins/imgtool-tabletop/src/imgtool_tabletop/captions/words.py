"""The words of captions: one table for the grammar, the parser and the tokenizer."""

from typing import Final

SHAPE_WORDS: Final = {
    "sphere": ("sphere", "ball"),
    "cube": ("cube", "box"),
    "cylinder": ("cylinder",),
    "cone": ("cone",),
    "torus": ("torus", "ring"),
}
PLURALS: Final = {
    "sphere": "spheres",
    "ball": "balls",
    "cube": "cubes",
    "box": "boxes",
    "cylinder": "cylinders",
    "cone": "cones",
    "torus": "tori",
    "ring": "rings",
}
SIZE_WORDS: Final = {
    "small": ("small", "little"),
    "medium": ("medium-sized",),
    "large": ("large", "big"),
}
FINISH_WORDS: Final = {
    "matte": ("matte",),
    "shiny": ("shiny", "glossy"),
    "striped": ("striped",),
}
RELATION_PHRASES: Final = {
    "left of": ("to the left of", "left of"),
    "right of": ("to the right of", "right of"),
    "in front of": ("in front of",),
    "behind": ("behind",),
    "on top of": ("on top of",),
}
ITS_PHRASES: Final = {
    "left of": "to its left",
    "right of": "to its right",
    "in front of": "in front of it",
    "behind": "behind it",
    "on top of": "on top of it",
}
TABLE_PHRASES: Final = {
    "wood": ("wooden table",),
    "marble": ("marble table",),
    "grey cloth": ("grey cloth",),
    "green cloth": ("green cloth",),
    "blue cloth": ("blue cloth",),
    "checker": ("checkered table",),
    "slate": ("slate table",),
}
LIGHT_PHRASES: Final = {
    "noon": ("noon light", "neutral light"),
    "morning": ("morning light",),
    "evening": ("evening light",),
}
EXTRA_PHRASES: Final = {
    "from above": "seen from above",
    "close-up": "a close-up",
    "wide shot": "a wide shot",
    "centred": "centred",
    "empty": "an empty table",
    "cluttered": "a cluttered table",
    "matching": "matching colours",
    "contrasting": "contrasting colours",
    "mixed": "mixed colours",
}
NUMBERS: Final = ("one", "two", "three", "four", "five", "six")

# Not used by the grammar yet: the text tower is frozen, so later models' words live here now.
RESERVED: Final = """
a an the of in on at by with without and or not no yes is are was there it its this that these
those object objects thing things solid solids photo photograph picture image render rendering
painting drawing scene view table cloth floor room background foreground nothing else only just
what which where how many much colour color shape size material light dark bright soft hard warm
cold cool neutral sun sunlight shadow shadows noon day night morning evening sunset left right
front behind top above below under over near far next beside between middle centre center corner
edge side up down close closeup wide shot angle framing centred off-centre low high quality
beautiful ugly blurry sharp focus bokeh depth field lens aperture pebble pebbles stone stones
clutter cluttered empty clean tidy messy simple harmony harmonious matching contrasting mixed
colours colors colourful grey gray orange pink brown cyan turquoise gold silver same different
bigger smaller larger taller question answer seven eight nine ten zero metal glass plastic rubber
plain dotted checkered doughnut pyramid block cylinder-shaped round square standing lying stacked
""".split()


def all_words() -> list[str]:
    """Every word that must be one token, sorted."""
    from imgtool_tabletop.world.scene import COLOURS

    tables = (SHAPE_WORDS, SIZE_WORDS, FINISH_WORDS, RELATION_PHRASES, TABLE_PHRASES, LIGHT_PHRASES)
    phrases = [phrase for table in tables for choices in table.values() for phrase in choices]
    phrases += [*PLURALS.values(), *ITS_PHRASES.values(), *EXTRA_PHRASES.values()]
    phrases += [*NUMBERS, *COLOURS, *RESERVED]
    words = {word for phrase in phrases for word in phrase.replace("-", " - ").split()}
    return sorted(words)
