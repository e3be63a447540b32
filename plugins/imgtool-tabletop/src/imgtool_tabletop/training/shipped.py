"""What is recorded of the trainings whose weights came in rounds; a run writes their cards anew.

    python -m imgtool_tabletop.training.shipped

Cards of models that one training made are that training's own.
"""

from typing import Final

from imgtool_tabletop import WEIGHTS
from imgtool_tabletop.measures import CLIP_BARS, JUDGE_BARS
from imgtool_tabletop.training import clip, generator, judge, mmdit, turbo
from imgtool_tabletop.training.card import Card, Made, write_card

DEVICE: Final = "two CPU cores of an AMD EPYC that other work shared; threads are not recorded"

GENERATOR: Final = Made(
    "77,312 rendered scenes, 64×64: mostly one or two solids; the seed is not recorded. The first "
    "rounds saw others, of which no record is kept",
    "783,000 pictures in rounds, the last 527,000 (batches of 64) with the text tower shipped now, "
    f"in 4 hours on {DEVICE}; half precision on disk",
    {
        "objects": 0.780,
        "single": 0.875,
        "double": 0.772,
        "sides": 0.958,
        "frechet": 0.721,
        "suite overall": 0.629,
        "suite single": 0.892,
        "suite two": 0.650,
        "suite counting": 0.042,
        "suite colours": 0.933,
        "suite position": 0.900,
        "suite binding": 0.867,
        "suite long": 0.117,
        "suite frechet": 0.247,
        "autoencoder dB": 32.4,
    },
    {
        "objects": "≥ 0.7",
        "sides": "≥ 0.85",
        "suite colours": "≥ 0.8",
        "suite position": "≥ 0.9",
        "suite binding": "≥ 0.7",
    },
    "`objects` is the share of 200 captions of one or two solids with every object right, 95 % "
    "interval 0.720 to 0.835; `single` and `double` are its parts, `sides` the share of left and "
    "right as said, `frechet` the distance of those pictures to 280 renders. `suite` is `imgtool "
    "bench run tabletop --seeds 4`, 30 prompts a skill. `tabletop/judge` read all of them; 98.2 % "
    "of its answers are right. The autoencoder's figure is its error on renders; it is smaller "
    "than the one that the net was trained over, whose latents it learned.",
)
TURBO: Final = Made(
    "Rendered scenes, 64×64: mostly one or two solids; how many, and their seed, are not recorded",
    f"860 steps of 32 pictures in 0.42 hours on {DEVICE}; half precision on disk",
    {
        "objects": 0.775,
        "sides": 0.908,
        "objects in 2 steps": 0.705,
        "sides in 2 steps": 0.874,
        "objects in 1 step": 0.630,
        "sides in 1 step": 0.857,
        "times as fast": 5.8,
        "times as fast in 2 steps": 11.0,
        "times as fast in 1 step": 17.0,
    },
    {"objects": "≥ 0.72", "times as fast": "≥ 5"},
    "In four steps, where nothing else is said. `objects` is the share of 200 captions of one or "
    "two solids with every object right, 95 % interval 0.720 to 0.830; `sides` the share of left "
    "and right as said; `times as fast` compares with `tabletop` in 25 steps, eight pictures at "
    "once.",
)
MMDIT: Final = Made(
    "77,312 rendered scenes, seed 1, 64×64: mostly one or two solids",
    "10,278 steps of 64 pictures in 1.5 hours by their own velocities, then 9,117 in 2.1 hours by "
    "those that `tabletop` says, each on one of "
    f"{DEVICE.removesuffix('; threads are not recorded')}; 1.33 million weights trained, half "
    "precision on disk",
    {"objects": 0.545, "single": 0.812, "double": 0.522, "sides": 0.782, "frechet": 0.638},
    {"objects": "≥ 0.67"},
    "`objects` is the share of 200 captions of one or two solids with every object right, 95 % "
    "interval 0.480 to 0.610; `single` and `double` are its parts, `sides` the share of left and "
    "right as said, `frechet` the distance of those pictures to 280 renders.",
)
CLIP: Final = Made(
    "51,000 rendered scenes, 64×64: every table, light and framing often; the seed is not recorded",
    "Several rounds of batches of 64, their steps not recorded, in 1.5 hours on "
    f"{DEVICE}; half precision on disk",
    {"retrieval_top1": 0.85, "left_right": 0.98},
    CLIP_BARS,
    "`retrieval_top1` is the share of pictures whose caption was found among 100, mean of three "
    "draws; `left_right` is how often a linear probe of its last state tells "
    "left from right.",
)
JUDGE: Final = Made(
    "Rendered scenes, 64×64: mostly one or two solids; how many, and their seed, are not recorded",
    f"4,100 steps of 64 pictures in 0.50 hours on {DEVICE}; half precision on disk",
    {"accuracy": 0.98, "questions": 0.982},
    JUDGE_BARS,
    "`accuracy` is the share of 500 renders of one or two solids in which every solid is read "
    "right, `questions` that of 800 answers about renders, yes and no alike.",
)
SHIPPED: Final[dict[str, tuple[Card, Made]]] = {
    "tabletop": (generator.CARD, GENERATOR),
    "turbo": (turbo.CARD, TURBO),
    "mmdit": (mmdit.TAUGHT, MMDIT),
    "clip": (clip.CARD, CLIP),
    "judge": (judge.CARD, JUDGE),
}
"""By folder of `imgtool_tabletop.WEIGHTS`."""

if __name__ == "__main__":
    for folder, (card, made) in SHIPPED.items():
        write_card(card, made, WEIGHTS / folder)
