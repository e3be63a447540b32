"""A plugin file without torch: scores how many of the phrases of `bits.py` a picture has."""

from imgtool.api import IMAGE, Component, Field, Kind, Stage, hookimpl, score


@hookimpl
def imgtool_components():
    yield Component("stage", "judge.shares", f"{__file__}:Shares")
    yield Component("stage", "judge.faults", f"{__file__}:Faults")


class Shares(Stage):
    id, summary = "judge.shares", "Score the share of phrases."
    consumes = (IMAGE,)
    produces = (score("share"), Field("score_info.share", Kind.RECORD))
    better = "higher"

    def process(self, batch):
        shares = [float((image[0, :-1, 0] > 128).mean()) for image in batch.arrays("image")]
        info = {"range": [0.0, 1.0], "better": self.better}
        return batch.with_columns(score__share=shares, score_info__share=[info] * len(batch))


class Faults(Shares):
    id, better = "judge.faults", "lower"
