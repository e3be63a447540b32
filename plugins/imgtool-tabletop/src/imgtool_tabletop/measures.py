"""How good captions, answers, depth maps and rankings are: plain functions of made and true."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from imgtool_tabletop.captions.parse import parse
from imgtool_tabletop.captions.questions import Question
from imgtool_tabletop.world.facts import Facts

if TYPE_CHECKING:
    from torch import Tensor

CLIP_BARS: Final = {"retrieval_top1": "≥ 0.8"}
JUDGE_BARS: Final = {"accuracy": "≥ 0.98", "questions": "≥ 0.98"}
VLM_BARS: Final = {"caption_objects": "≥ 0.85", "yes_no": "≥ 0.9"}
DEPTH_BARS: Final = {"abs_rel": "≤ 0.06", "delta1": "≥ 0.95"}
WRITER_BARS: Final = {"kept": "≥ 0.95", "varied": "≥ 0.9"}
AESTHETIC_BARS: Final = {"spearman_renders": "≥ 0.85", "spearman_generated": "≥ 0.6"}
"""What the figures of trained weights should reach."""


def holds(value: float, bar: str) -> bool:
    """Whether `value` reaches a bar such as `≥ 0.9` or `≤ 0.06`; not a number reaches none."""
    sign, limit = bar.split()
    return value >= float(limit) if sign == "≥" else value <= float(limit)


def objects_said(caption: str, facts: Facts) -> bool:
    """Whether a caption says every object's colour and shape, none missing and none extra."""
    said = Counter((o.colour, o.shape) for o in parse(caption).objects)
    return said == Counter((o.colour, o.shape) for o in facts.objects)


def all_true(caption: str, facts: Facts) -> bool:
    """Whether besides all else that a caption says (size, finish, place, table, light) holds."""
    return objects_said(caption, facts) and parse(caption).holds_in(facts)


def caption_figures(captions: Sequence[str], truths: Sequence[Facts]) -> dict[str, float]:
    """Shares of captions: `caption_objects` (see `objects_said`), `caption_all_true`."""
    pairs = list(zip(captions, truths, strict=True))
    return {
        "caption_objects": _share([objects_said(c, f) for c, f in pairs]),
        "caption_all_true": _share([all_true(c, f) for c, f in pairs]),
    }


def plan_figures(plans: Sequence[Sequence[str]], told: Sequence[Facts]) -> dict[str, float]:
    """Of several plans of each caption: `kept`, `varied` and `words`.

    kept : share that say every solid and relation that was told, and no more solids. varied : share
    of plans of one caption that are unlike each other. words : their mean number.
    """
    kept, lengths = [], []
    for several, facts in zip(plans, told, strict=True):
        for plan in several:
            said = parse(plan)
            kept.append(len(said.objects) == len(facts.objects) and facts.holds_in(said))
            lengths.append(len(plan.split()))
    varied = [len(set(several)) / len(several) for several in plans]
    return {
        "kept": _share(kept),
        "varied": sum(varied) / len(varied),
        "words": sum(lengths) / len(lengths),
    }


def answer_figures(asked: Sequence[Question], answers: Sequence[str]) -> dict[str, float]:
    """Share of answers that are word for word right, by kind of question.

    `yes_no` is the mean over the kinds answered by yes or no, and over both answers within each:
    a model that says the same to everything gets 0.5.
    """
    from imgtool_tabletop.captions.questions import YES_NO

    marks: dict[tuple[str, str], list[bool]] = {}
    for question, answer in zip(asked, answers, strict=True):
        right = question.answer if question.kind in YES_NO else ""
        marks.setdefault((question.kind, right), []).append(answer.strip() == question.answer)
    shares: dict[str, list[float]] = {}
    for (kind, _), right in marks.items():
        shares.setdefault(kind, []).append(_share(right))
    by_kind = {kind: sum(values) / len(values) for kind, values in sorted(shares.items())}
    balanced = [by_kind[kind] for kind in YES_NO if kind in by_kind]
    figures = {f"answer_{kind}": value for kind, value in by_kind.items()}
    return {"yes_no": sum(balanced) / max(1, len(balanced)), **figures}


def _share(marks: Sequence[bool]) -> float:
    return sum(marks) / max(1, len(marks))


def depth_figures(made: "Tensor", true: "Tensor") -> dict[str, float]:
    """Errors of depth maps [B, H, W] in metres; Eigen et al. (2014), arXiv 1406.2283, section 4.

    abs_rel : mean of |made - true| / true. delta1 : share of pixels wrong by a factor < 1.25.
    """
    ratio = (made / true).clamp_min(1e-6)
    within = ratio.maximum(1 / ratio) < 1.25
    return {
        "abs_rel": float(((made - true).abs() / true).mean()),
        "delta1": float(within.float().mean()),
    }


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Correlation of ranks, -1 to 1; ties share their mean rank; 0 where one side is constant."""
    one, two = _ranks(first), _ranks(second)
    mean = (len(one) - 1) / 2
    covariance = sum((a - mean) * (b - mean) for a, b in zip(one, two, strict=True))
    spread = sum((a - mean) ** 2 for a in one) * sum((b - mean) ** 2 for b in two)
    return covariance / spread**0.5 if spread else 0.0


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    at = 0
    while at < len(order):
        end = at
        while end + 1 < len(order) and values[order[end + 1]] == values[order[at]]:
            end += 1
        for place in range(at, end + 1):
            ranks[order[place]] = (at + end) / 2
        at = end + 1
    return ranks
