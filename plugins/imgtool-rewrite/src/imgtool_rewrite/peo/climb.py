"""Climbs: from a start upwards, by a gradient or without, keeping the best point that was seen.

They know nothing of pictures: `Problem` says how good a point is. theta: the variables, such as
([T, D] embeddings,) or those and a pooled vector.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import torch

from imgtool_rewrite.peo.cmaes import SepCmaEs, default_population
from imgtool_rewrite.peo.notes import packed, unpacked
from imgtool_rewrite.peo.objective import Terms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

Theta: TypeAlias = "tuple[Tensor, ...]"
Optimiser: TypeAlias = Literal["adam", "sgd", "lbfgs", "sep-cmaes"]

# Of the objective; less counts as none.
LEAST_GAIN = 1e-4
MOST_HALVINGS = 3
LBFGS_STEPS = 5
OWN_RATES = {"adam": 0.01, "sgd": 0.01, "lbfgs": 1.0, "sep-cmaes": 0.3}


class NotFinite(ArithmeticError):
    """The objective or its gradient is not a number."""


class Problem(Protocol):
    """What is to be maximised."""

    def value(self, theta: Theta) -> Terms:
        """The terms at a point."""

    def gradient(self, theta: Theta) -> tuple[Terms, Theta]:
        """The terms and the gradient of the objective."""


@dataclass(frozen=True)
class Plan:
    """How to climb.

    Attributes
    ----------
    rate : learning rate; of sep-CMA-ES the first deviation, relative to the start's; 0: its own.
    patience : iterations without gain after which to stop; 0: never.
    radius : largest distance from the start, relative to its length; 0: any.
    population : candidates of a generation of sep-CMA-ES; 0: by the number of variables.
    """

    optimiser: Optimiser = "adam"
    rate: float = 0.0
    iterations: int = 10
    patience: int = 4
    radius: float = 0.0
    population: int = 0


@dataclass
class Climb(ABC):
    """One climb. Its state goes through `notes`, so a killed one goes on with the same numbers.

    Attributes
    ----------
    free : for each variable what of it may move, 0 or 1, of its shape or less.
    theta : where it is; best, best_at : the best point seen and its number in `history`.
    history : of every evaluation; the first is that of the start.
    gradients : how many evaluations came with a gradient.
    """

    problem: Problem
    plan: Plan
    start: Theta
    free: Theta
    generator: torch.Generator
    history: list[Terms] = field(default_factory=list)
    best_at: int = 0
    gradients: int = 0
    done: int = 0
    halvings: int = 0
    finished: bool = False
    _marks: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rate = self.plan.rate or OWN_RATES[self.plan.optimiser]
        self.best = copied(self.start)
        self._begin(self.start)

    @property
    def stopped_early(self) -> bool:
        """Whether the objective stopped being a number too often."""
        return self.halvings > MOST_HALVINGS

    def run(self, notes: bytes = b"", note: Callable[[bytes], None] = lambda _: None) -> None:
        """Climb to the end.

        Parameters
        ----------
        notes, note : what an earlier run noted, and where to note how far this one has come.

        Raises
        ------
        NotFinite : at the start already.
        """
        if notes:
            self._restore(notes)
        if not any(bool(free.any()) for free in self.free):
            self._evaluate(self.start)
            self.finished = True
        while not self.finished:
            try:
                if self.done < self.plan.iterations and not self._is_stalled():
                    self._iterate()
                    self._marks.append(self.history[self.best_at].objective)
                else:
                    self._evaluate(self._last())
                    self.finished = True
            except NotFinite:
                if not self.history:
                    raise
                self._go_back()
            self.done += 1
            note(self._state())

    def _is_stalled(self) -> bool:
        patience, marks = self.plan.patience, self._marks
        return 0 < patience < len(marks) and marks[-1] - marks[-1 - patience] <= LEAST_GAIN

    def _go_back(self) -> None:
        self.halvings += 1
        self.rate /= 2
        self.finished = self.stopped_early or self.done >= self.plan.iterations
        self._begin(self.best)

    def _evaluate(self, theta: Theta) -> None:
        self._seen(theta, self.problem.value(theta))

    def _seen(self, theta: Theta, terms: Terms) -> None:
        if not math.isfinite(terms.objective):
            raise NotFinite
        self.history.append(terms)
        if terms.objective > self.history[self.best_at].objective:
            self.best, self.best_at = copied(theta), len(self.history) - 1

    def _within(self, theta: Theta) -> Theta:
        """The point, drawn to the start as far as the radius asks."""
        if not self.plan.radius:
            return theta
        found = []
        for value, first in zip(theta, self.start, strict=True):
            far = (value - first).norm() / first.norm()
            shrink = (self.plan.radius / far).clamp_max(1) if far > 0 else 1.0
            found.append(first + (value - first) * shrink)
        return tuple(found)

    @abstractmethod
    def _begin(self, theta: Theta) -> None:
        """Forget the past and go on from `theta`."""

    @abstractmethod
    def _iterate(self) -> None:
        """One iteration."""

    @abstractmethod
    def _last(self) -> Theta:
        """The point where the climb has come to."""

    @abstractmethod
    def _own_state(self) -> dict[str, Any]:
        """What the subclass adds to the state."""

    @abstractmethod
    def _restore_own(self, state: dict[str, Any]) -> None:
        """The inverse of `_own_state`."""

    def _state(self) -> bytes:
        names = ("best_at", "gradients", "done", "halvings", "finished", "rate", "_marks")
        state = {name: getattr(self, name) for name in names}
        state |= {"history": [astuple(terms) for terms in self.history], "best": list(self.best)}
        return packed(state | {"own": self._own_state()})

    def _restore(self, notes: bytes) -> None:
        state = unpacked(notes, self.start[0].device)
        self.history = [Terms(*values) for values in state.pop("history")]
        self.best = tuple(state.pop("best"))
        own = state.pop("own")
        for name, value in state.items():
            setattr(self, name, value)
        self._begin(self.best)
        self._restore_own(own)


class GradientClimb(Climb):
    """By Adam, plain gradient or L-BFGS: an iteration evaluates where it is, then steps."""

    def _begin(self, theta: Theta) -> None:
        self.theta = tuple(value.clone().requires_grad_() for value in copied(theta))
        if self.plan.optimiser == "lbfgs":
            self.optimiser: torch.optim.Optimizer = torch.optim.LBFGS(
                self.theta, lr=self.rate, max_iter=LBFGS_STEPS, line_search_fn="strong_wolfe",
                tolerance_grad=0, tolerance_change=0,
            )  # fmt: skip
        else:
            kinds = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
            self.optimiser = kinds[self.plan.optimiser](self.theta, lr=self.rate)

    def _iterate(self) -> None:
        self.optimiser.step(self._closure)
        with torch.no_grad():
            for variable, value in zip(self.theta, self._within(self.theta), strict=True):
                variable.copy_(value)

    def _closure(self) -> float:
        terms, found = self.problem.gradient(self.theta)
        self.gradients += 1
        if not all(bool(slope.isfinite().all()) for slope in found):
            raise NotFinite
        self._seen(self.theta, terms)
        for variable, slope, free in zip(self.theta, found, self.free, strict=True):
            variable.grad = -slope * free  # optimisers go down
        return -terms.objective

    def _last(self) -> Theta:
        return self.theta

    def _own_state(self) -> dict[str, Any]:
        return {"theta": list(copied(self.theta)), "optimiser": self.optimiser.state_dict()}

    def _restore_own(self, state: dict[str, Any]) -> None:
        with torch.no_grad():
            for variable, value in zip(self.theta, state["theta"], strict=True):
                variable.copy_(value)
        self.optimiser.load_state_dict(state["optimiser"])


class EvolutionClimb(Climb):
    """By sep-CMA-ES: an iteration is a generation. The start is seen first."""

    def _begin(self, theta: Theta) -> None:
        mean = self._chosen(theta)
        if not len(mean):  # nothing may move: `run` ends with the start
            return
        scale = float(mean.square().mean().sqrt())
        self.search = SepCmaEs(
            mean, self.rate * scale, self.plan.population or default_population(len(mean)),
            self.generator,
        )  # fmt: skip

    def _chosen(self, theta: Theta) -> Tensor:
        """The numbers that may move, in a row, on the CPU."""
        moving = zip(theta, self.free, strict=True)
        return torch.cat([value.detach()[_whole(free, value)].cpu() for value, free in moving])

    def _point(self, numbers: Tensor) -> Theta:
        """The inverse of `_chosen`; what may not move is the start's."""
        found, at = [], 0
        for first, free in zip(self.start, self.free, strict=True):
            mask = _whole(free, first)
            value, count = first.clone(), int(mask.sum())
            value[mask] = numbers[at : at + count].to(value)
            found.append(value)
            at += count
        return self._within(tuple(found))

    def _iterate(self) -> None:
        if not self.history:
            self._evaluate(self.start)
        candidates = self.search.ask()
        values = []
        for numbers in candidates:
            theta = self._point(numbers)
            terms = self.problem.value(theta)
            finite = math.isfinite(terms.objective)
            values.append(terms.objective if finite else -math.inf)
            if finite:
                self._seen(theta, terms)
        self.search.tell(candidates, values)
        # Of many numbers the mean is better than any candidate: noise costs each of those.
        self._evaluate(self._last())

    def _last(self) -> Theta:
        return self._point(self.search.mean)

    def _own_state(self) -> dict[str, Any]:
        return self.search.state()

    def _restore_own(self, state: dict[str, Any]) -> None:
        self.search.restore({**state, "random": state["random"].cpu()})


def _whole(free: Tensor, value: Tensor) -> Tensor:
    return (free != 0).expand_as(value)


def copied(theta: Sequence[Tensor]) -> Theta:
    """The point with tensors of its own."""
    return tuple(value.detach().clone() for value in theta)


def climb_of(plan: Plan) -> type[Climb]:
    """The climb that an optimiser needs."""
    return EvolutionClimb if plan.optimiser == "sep-cmaes" else GradientClimb
