"""For each prompt the model, or other choice, that did best on prompts like it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from imgtool.api import PROMPT, Batch, Bounds, Field, Help, Kind, PathTo, RowError, Stage
from imgtool.builtin.select.alike import stacked
from imgtool.builtin.select.past import read_past

# Annotations of parameters are read when the stage is described and checked.
from imgtool.builtin.select.ranking import Lowest  # noqa: TC001
from imgtool.builtin.select.routing import Words, best_choice

if TYPE_CHECKING:
    from imgtool.api import Row, Runtime
    from imgtool.builtin.select.past import Past

ROUTE = Field("route", Kind.TEXT, summary="Choice that past scores speak for.")
ROUTING = Field("routing", Kind.RECORD, summary="Every choice with its predicted score and cost.")


@dataclass(frozen=True)
class RouteParams:
    """Parameters of `select.route`."""

    past: Annotated[str, Help("Past rows with their scores, .jsonl or .csv."), PathTo("past rows")]
    by: Annotated[str, Help("Score of the past rows, such as score.clip.")]
    of: Annotated[
        tuple[str, ...], Help("Fields of the past rows that tell one choice from another.")
    ] = ("model", "steps")  # fmt: skip
    cost: Annotated[str, Help("Field of the past rows that says what a row cost.")] = "steps"
    price: Annotated[float, Help("Score that one unit of cost has to bring."), Bounds(0)] = 0.0
    lowest: Lowest = False
    neighbours: Annotated[int, Help("Past prompts to ask, for each choice."), Bounds(1)] = 8
    on: Annotated[
        str, Help("Field with a vector of the prompt, in rows and past rows; empty: its words.")
    ] = ""


class Route(Stage[RouteParams]):
    """Each row with the choice to draw it by: `route` holds its fields, separated by spaces.

    The choice is the one with the best predicted score less `price` times its mean cost.
    """

    id = "select.route"
    summary = "Choose the model for each prompt by past scores of prompts like it."
    consumes = (PROMPT,)
    produces = (ROUTE, ROUTING)
    check_params = MappingProxyType(
        {"past": str(Path(__file__).with_name("example-past.jsonl")), "by": "score.clip"}
    )

    past: Past

    def open(self, params: RouteParams, runtime: Runtime) -> None:
        """Read the past.

        Raises
        ------
        InputMissing, InputEmpty, InputUnreadable : as the names say.
        BadParams : past rows lack a field that is named.
        """
        self.params, self.runtime = params, runtime
        self.past = read_past(Path(params.past), params)

    def process(self, batch: Batch) -> Batch:
        """Each row alone. A row whose vector cannot be compared fails."""
        routed = [self._route(row) for row in batch]
        return batch.with_columns(
            route=[name for name, _ in routed], routing=[record for _, record in routed]
        )

    def _route(self, row: Row) -> tuple[str, dict[str, object]]:
        choices, params = self.past.choices, self.params
        near = self._near(row)
        scores = [choice.predicted(near, params.neighbours) for choice in choices]
        best = best_choice(choices, scores, params.price)
        table = [
            {
                "route": choice.name,
                "predicted": self.past.sign * score,
                "cost": choice.cost,
                "chosen": at == best,
            }
            for at, (choice, score) in enumerate(zip(choices, scores, strict=True))
        ]
        return choices[best].name, {"by": params.by, "choices": table}

    def _near(self, row: Row) -> dict[int, float]:
        prompts = self.past.prompts
        if isinstance(prompts, Words):
            return prompts.near(str(row["prompt"]))
        vector = stacked([row.values.get(self.params.on)])
        if vector is None or vector.shape[1] != prompts.width:
            raise RowError(row.id, f"{self.params.on!r} is no vector like those of the past")
        return prompts.near(vector[0])
