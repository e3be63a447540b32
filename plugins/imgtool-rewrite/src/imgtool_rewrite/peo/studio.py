"""What a climb needs, open: the model that draws, the CLIP that sees, the head that judges."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import astuple, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch

from imgtool.api import BadParams, ModelUnusable, OutOfMemory, Row, write_file
from imgtool_rewrite.peo.climb import Climb, NotFinite, Plan, Theta, climb_of
from imgtool_rewrite.peo.objective import (
    Terms,
    Weights,
    all_kept,
    end_cosine,
    projected,
    recomputed,
    total,
)
from imgtool_rewrite.record import with_entry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from torch import Tensor

    from imgtool.api import Runtime
    from imgtool_rewrite.peo.stage import PeoParams

log = logging.getLogger("imgtool.rewrite")
DRAWING = ("steps", "guidance", "negative", "width", "height", "scheduler")
# A text encoder is CLIP's own if its vectors of this are.
PROBE = Row("", {"prompt": "a picture of a table"})
SAME = 0.999
HEAD_HINT = "Give --head FILE.safetensors, trained over --clip; or --aesthetic 0"


@dataclass(frozen=True)
class Optimised:
    """Embeddings of a row, [T, D] and [P] or none, float32, and its record."""

    embeds: np.ndarray
    pooled: np.ndarray | None
    record: list[object]


@dataclass
class Studio:
    """Everything that does not depend on a row.

    Attributes
    ----------
    painter : draws from embeddings; the component `diffusers` of the kind `embeds-sampler`.
    encoder : CLIP; the component `clip` of the kind `image-text-encoder`.
    head : w [D] and b of the aesthetic score; none where it has no weight.
    target : as in the params, settled.
    """

    params: PeoParams
    runtime: Runtime
    painter: Any
    encoder: Any
    head: tuple[Tensor, float] | None
    plan: Plan
    target: str

    @classmethod
    def open(cls, params: PeoParams, runtime: Runtime) -> Studio:
        """Open all of them, or none.

        Raises
        ------
        ModelUnusable, BadParams, UnknownComponent, NeedsConsent : see `Peo.open`.
        """
        if params.aesthetic and not params.head:
            raise ModelUnusable(
                "rewrite.peo: no aesthetic head is named",
                HEAD_HINT,
            )
        try:
            return cls._opened(params, runtime)
        except BaseException:
            runtime.release()
            raise

    @classmethod
    def _opened(cls, params: PeoParams, runtime: Runtime) -> Studio:
        head = _head(params, runtime) if params.aesthetic else None
        load_clip: Any = runtime.component("image-text-encoder", "clip")
        # Gradients of half precision vanish; CLIP is small beside what draws.
        encoder = load_clip(replace(runtime, dtype="float32"), params.clip)
        encoder.model.requires_grad_(False)
        if head is not None and len(head[0]) != encoder.width:
            raise ModelUnusable(
                f"the head {params.head!r} takes {len(head[0])} numbers, {params.clip!r} gives "
                f"{encoder.width}",
                HEAD_HINT,
            )
        open_painter: Any = runtime.component("embeds-sampler", "diffusers")
        drawing = {name: getattr(params, name) for name in DRAWING}
        painter = open_painter(runtime, params.model, **drawing)
        target = _target(params, painter, encoder)
        return cls(params, runtime, painter, encoder, head, _plan(params, painter), target)

    def climb(self, row: Row) -> Optimised | str:
        """The best embeddings of the row, or why there are none."""
        problem = RowProblem.of(self, row)
        notes = self.runtime.journal / f"{problem.key}.peo"
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        climb = climb_of(self.plan)(
            problem, self.plan, problem.start, problem.free, row.generator("peo")
        )
        try:
            climb.run(notes.read_bytes() if notes.is_file() else b"", _noting(notes))
        except NotFinite:
            return "the objective of the prompt's own embeddings is not a number"
        if torch.cuda.is_available():
            log.info("row %s: %d MB at most", row.id, torch.cuda.max_memory_allocated() >> 20)
        embeds, *pooled = [value.cpu().float().numpy() for value in climb.best]
        return Optimised(embeds, pooled[0] if pooled else None, self._record(row, problem, climb))

    def _record(self, row: Row, problem: RowProblem, climb: Climb) -> list[object]:
        status = "partial" if climb.stopped_early else "ok" if climb.best_at else "unchanged"
        before, after = climb.history[0], climb.history[climb.best_at]
        scores = {
            field.name: [getattr(before, field.name), getattr(after, field.name)]
            for field in fields(Terms)
        }
        if self.head is None:
            del scores["aesthetic"]
        pictures = len(climb.history) * len(problem.seeds)
        return with_entry(
            row, "peo", status,
            scores=scores,
            history=[terms.objective for terms in climb.history],
            best_step=climb.best_at,
            optimiser=self.plan.optimiser,
            target=self.target,
            keep=self.params.keep,
            seeds=problem.seeds,
            drawing=self.painter.settings,
            evaluations=len(climb.history),
            gradients=climb.gradients,
            unet_evals=pictures * self.painter.evaluations,
            warnings=problem.warnings,
        )  # fmt: skip


@dataclass
class RowProblem:
    """The objective of one row: a `Problem` of `imgtool_rewrite.peo.climb`.

    Attributes
    ----------
    start, free : see `Climb`.
    agreed : unit CLIP vector of the text that the user asked for; drawn: of the row's prompt.
    memory : ways to compute the gradient, (checkpoint, last steps), each needing less than the one
        before; the first is in use.
    """

    studio: Studio
    condition: Any
    start: Theta
    free: Theta
    seeds: list[int]
    agreed: Tensor
    drawn: Tensor
    memory: list[tuple[bool, int]]
    warnings: list[str]

    @classmethod
    def of(cls, studio: Studio, row: Row) -> RowProblem:
        """The problem of a row."""
        params, device = studio.params, studio.runtime.torch_device
        condition = _condition(studio, row)
        embeds, pooled = condition.embeds, condition.pooled
        free = torch.ones(len(embeds), 1, device=device)
        if params.tokens == "words" or (params.tokens == "auto" and _few(studio, condition)):
            free[: condition.start] = 0
            free[condition.end :] = 0
        prompt = str(row.values.get("prompt") or "")
        asked = str(row.values.get("source_prompt") or prompt)
        # Vectors of inference mode cannot be differentiated through.
        agreed, drawn = studio.encoder.texts([asked, prompt]).clone()
        ways = [(params.checkpoint, params.backprop), (True, params.backprop), (True, 1)]
        return cls(
            studio, condition, (embeds,) if pooled is None else (embeds, pooled),
            (free,) if pooled is None else (free, torch.ones(1, device=device)),
            [(row.seed + at) % 2**63 for at in range(params.seeds)], agreed, drawn,
            list(dict.fromkeys(ways)), [] if prompt else ["the prompt is empty"],
        )  # fmt: skip

    @property
    def key(self) -> str:
        """Of all that the climb depends on."""
        words = repr((self.studio.params, self.seeds, self.condition.negative_prompt))
        total = hashlib.blake2b(words.encode(), digest_size=16)
        for tensor in (*self.start, self.agreed, self.drawn):
            total.update(tensor.cpu().numpy().tobytes())
        return total.hexdigest()

    def value(self, theta: Theta) -> Terms:
        """The terms, averaged over the seeds."""
        with torch.no_grad():
            return _mean([self._terms(theta, seed)[1] for seed in self.seeds])

    def gradient(self, theta: Theta) -> tuple[Terms, Theta]:
        """The terms and the objective's gradient. Short memory computes more and keeps less.

        Raises
        ------
        OutOfMemory : even one step does not fit.
        """
        while True:
            try:
                return self._gradient(theta)
            except torch.OutOfMemoryError as err:
                del self.memory[0]
                if not self.memory:
                    size = self.studio.painter.settings
                    raise OutOfMemory(
                        f"the gradient of a picture of {size['width']}x{size['height']} pixels "
                        "through one step does not fit in memory",
                        "Try a smaller picture, --dtype bfloat16 or --optimiser sep-cmaes",
                    ) from err
                checkpoint, last = self.memory[0]
                self.warnings.append(
                    f"memory was short: checkpoint {checkpoint}, through {last or 'all'} steps"
                )

    def _gradient(self, theta: Theta) -> tuple[Terms, Theta]:
        seen, slopes = [], [torch.zeros_like(value) for value in theta]
        # One noise after another, so memory does not grow with them.
        for seed in self.seeds:
            with torch.enable_grad():
                value, terms = self._terms(theta, seed)
            found = torch.autograd.grad(value / len(self.seeds), theta, allow_unused=True)
            slopes = [sum_ if one is None else sum_ + one
                      for sum_, one in zip(slopes, found, strict=True)]  # fmt: skip
            seen.append(terms)
        return _mean(seen), tuple(slopes)

    def _terms(self, theta: Theta, seed: int) -> tuple[Tensor, Terms]:
        studio, params, end = self.studio, self.studio.params, self.condition.end
        checkpoint, last = self.memory[0]
        moved = replace(self.condition, **dict(zip(("embeds", "pooled"), theta, strict=False)))
        picture = studio.painter.draw(moved, seed, checkpoint=checkpoint, last=last)
        f = studio.encoder.tensors(picture[None])[0]
        aesthetic = torch.zeros_like(f[0])
        if studio.head is not None:
            weight, bias = studio.head
            aesthetic = f @ weight.to(f) + bias
        consistency = f @ self._text(theta[0]).to(f)
        if params.keep == "full":
            kept = all_kept(theta[0], self.start[0])
        else:
            kept = end_cosine(theta[0], self.start[0], end, studio.painter.text_width)
        weights = Weights(params.aesthetic, params.consistency, params.preservation)
        value = total(weights, aesthetic, consistency, kept.to(f))
        agreement = f @ self.agreed.to(f)
        numbers = (value, aesthetic, consistency, kept, agreement)
        return value, Terms(*[float(number.detach()) for number in numbers])

    def _text(self, embeds: Tensor) -> Tensor:
        """h, the unit vector of the text that the picture must fit."""
        studio = self.studio
        if studio.target == "original":
            return self.drawn
        return text_vector(
            studio.painter, studio.encoder, studio.target, embeds, self.condition.end
        )


def text_vector(painter: Any, encoder: Any, target: str, embeds: Tensor, end: int) -> Tensor:
    """Unit CLIP vector of embeddings [T, D], for the targets that follow them."""
    projection = encoder.model.text_projection
    if target == "optimised":
        return projected(embeds[:, : projection.in_features], end, projection)
    return recomputed(embeds[:, : painter.text_width], end, projection, painter.text_encoder)


def _head(params: PeoParams, runtime: Runtime) -> tuple[Tensor, float]:
    load: Any = runtime.component("aesthetic-head", "linear")
    weight, bias, _ = load(runtime, params.head)
    return weight, bias


def _plan(params: PeoParams, painter: Any) -> Plan:
    why: str = painter.why_no_gradient
    optimiser = params.optimiser
    if optimiser == "auto":
        optimiser = "sep-cmaes" if why else "adam"
    elif why and optimiser != "sep-cmaes":
        raise BadParams(
            f"{params.model!r} has no gradient: {why}", "Give --optimiser sep-cmaes, or auto"
        )
    given = {field.name: getattr(params, field.name) for field in fields(Plan)}
    return Plan(**{**given, "optimiser": optimiser})


def _target(params: PeoParams, painter: Any, encoder: Any) -> str:
    """The target as asked, or the one that fits the model.

    Raises
    ------
    BadParams : the model's embeddings are not what that target reads.
    """
    if params.target == "original":
        return "original"
    condition = painter.encode(PROBE)
    target = "optimised" if params.target == "auto" else params.target
    two = condition.pooled is not None
    if target == "recomputed" and not two:
        raise BadParams(
            f"{params.model!r} reads states behind CLIP's last block: nothing is to be recomputed",
            "Give --target optimised",
        )
    wide = encoder.model.text_projection.in_features
    fits = painter.text_width == wide and (target == "recomputed" or not two)
    if fits:
        found = text_vector(painter, encoder, target, condition.embeds, condition.end)
        fits = float(found @ encoder.texts([str(PROBE["prompt"])])[0]) > SAME
    if fits:
        return target
    if params.target == "auto":
        return "original"
    raise BadParams(
        f"the text encoder of {params.model!r} is not that of {params.clip!r}",
        "Give --target original, or the CLIP that the model reads with",
    )


def _condition(studio: Studio, row: Row) -> Any:
    """What the row is drawn from: its own embeddings where it brings some.

    Raises
    ------
    BadParams : they were made by another text encoder.
    """
    condition = studio.painter.encode(row)
    own: Any = row.values.get("prompt_embeds")
    if own is None:
        return condition
    if row.values.get("prompt_embeds_of") not in (None, studio.painter.mark):
        raise BadParams(
            f"row {row.id}: its prompt_embeds were made by another text encoder",
            "Make them with the model that draws: --model of that stage",
        )
    return replace(condition, embeds=torch.from_numpy(own).to(condition.embeds))


def _few(studio: Studio, condition: Any) -> bool:
    """Whether a search without gradient is better off with the words alone.

    Nearly all that the picture feels is in them, and the end mark costs more than it gives.
    """
    alone = condition.embeds.shape[1] == studio.painter.text_width
    there = condition.start < condition.end
    return studio.plan.optimiser == "sep-cmaes" and alone and there


def _noting(file: Path) -> Callable[[bytes], None]:
    def note(state: bytes) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, state)

    return note


def _mean(found: list[Terms]) -> Terms:
    columns = zip(*[astuple(terms) for terms in found], strict=True)
    return Terms(*[sum(column) / len(found) for column in columns])
