"""What trainers of other plugins may use, as components: loops that resume, pictures with truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor, nn


class Loops:
    """Training loops in folders of one; a component of the kind `training-loops`."""

    def __init__(self, work_dir: Path) -> None:
        self.work_dir = work_dir

    def trained(
        self,
        name: str,
        model: nn.Module,
        loss: Callable[[int], tuple[Tensor, dict[str, float]]],
        *,
        steps: int,
        rate: float,
        log_every: int,
    ) -> None:
        """Train the weights of `model` that have gradients, which then are the averaged ones.

        `loss` gives the loss of a step and figures for the log. A loop that was stopped goes on
        from its last checkpoint, and one that has ended only restores its weights.

        Raises
        ------
        KeyboardInterrupt : SIGINT or SIGTERM came; the checkpoint is written.
        """
        import torch

        from imgtool_tabletop.makers import report
        from imgtool_tabletop.training.loop import Budget, Optimiser, Trainer

        budget = Budget(steps=steps, log_every=log_every)
        optimiser = Optimiser(rate=rate, warmup_steps=min(200, steps // 4 + 1))
        trainer = Trainer(model, self.work_dir / name, budget, optimiser, report)
        trainer.run(loss)
        with torch.no_grad():
            torch._foreach_copy_(trainer.weights, trainer.average)

    def keep_logs(self, out_dir: Path) -> None:
        """Copy each loop's `log.csv` below `out_dir`, with a plot of its loss."""
        from imgtool_tabletop.training.log import keep_logs

        keep_logs(self.work_dir, out_dir)


def picture_pairs(
    source: str,
    degradation: str,
    *,
    size: int,
    low: float,
    high: float,
    seed: int,
    held_out: bool = False,
) -> Callable[[int], tuple[Tensor, Tensor]]:
    """A component of the kind `picture-pairs`: from a number to a sharp picture and a small one.

    Both are [3, ·, ·] uint8; parameters are those of `data.tabletop/scales`.
    """
    from imgtool_tabletop.views.params import ScalesParams
    from imgtool_tabletop.views.scales import Scales

    view = Scales(
        ScalesParams(
            size=size, seed=seed, held_out=held_out, source=source, degradation=degradation,  # type: ignore[arg-type] # checked by whoever asks
            low=low, high=high,
        )
    )  # fmt: skip

    def pair(index: int) -> tuple[Tensor, Tensor]:
        values = view.example(index).values
        return values["large"], values["small"]

    return pair


def picture_depths(
    *, size: int, seed: int, held_out: bool = False
) -> Callable[[Sequence[int]], tuple[Tensor, Tensor]]:
    """A component of the kind `picture-depths`: from numbers of scenes to pictures and depth.

    Pictures are [n, 3, size, size] uint8, depth [n, size, size] float32, metres at pixel centres.
    """
    from imgtool_tabletop.training.bank import scene_at
    from imgtool_tabletop.views.view import quantised
    from imgtool_tabletop.world.batch import gather
    from imgtool_tabletop.world.render import measure, render
    from imgtool_tabletop.world.sample import BROAD

    def seen(indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        scenes = [scene_at(seed, index, BROAD, held_out=held_out) for index in indices]
        return quantised(render(scenes, size)), measure(gather(scenes), size).depth

    return seen
