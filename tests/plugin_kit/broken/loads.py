"""It raises while it is imported."""

from imgtool.api import PROMPT, Stage

PALETTE: dict[str, str] = {}


class Raises(Stage[None]):
    id, summary = "broken.loads", "Look a colour up too early."
    consumes, produces = (PROMPT,), (PROMPT,)
    colour = PALETTE["sepia"]
