"""What trainers of other plugins may use, as components: loops that resume, pictures with truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
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

        from imgtool_tabletop.trainer import report
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
    softness: float = 0.0,
    grain: float = 0.0,
) -> Callable[[int], tuple[Tensor, Tensor]]:
    """A component of the kind `picture-pairs`: from a number to a sharp picture and a small one.

    Both are [3, ·, ·] uint8; parameters are those of `data.tabletop/scales`.
    """
    from imgtool_tabletop.views.params import ScalesParams
    from imgtool_tabletop.views.scales import Scales

    view = Scales(
        ScalesParams(
            size=size, seed=seed, held_out=held_out, source=source, degradation=degradation,  # type: ignore[arg-type] # checked by whoever asks
            low=low, high=high, softness=softness, grain=grain,
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


def photographs(
    aperture: str, *, size: int, seed: int, lens_points: int
) -> Callable[[int], Mapping[str, Tensor | str]]:
    """A component of the kind `photographs`: from a number to the layers of a photograph.

    They and the parameters are those of `data.tabletop/defocus`; `aperture` is `deep` or `shallow`.
    """
    from imgtool_tabletop.views.defocus import Defocus
    from imgtool_tabletop.views.params import DefocusParams

    view = Defocus(DefocusParams(size=size, seed=seed, aperture=aperture, lens_points=lens_points))  # type: ignore[arg-type] # checked by whoever asks
    return lambda index: view.example(index).values


def subjects(*, size: int, seed: int, held_out: bool) -> Callable[[int], Mapping[str, Tensor]]:
    """A component of the kind `subjects`: from a number to a scene and what is in it.

    `image`, [3, S, S] uint8, is all in focus; `depth`, [S, S], metres; `labels`, [S, S], k on solid
    k - 1 and 0 elsewhere; `nearest_m` and `farthest_m`, [K], where along the axis each solid lies.
    """
    import torch

    from imgtool_tabletop.training.bank import scene_at
    from imgtool_tabletop.views.view import quantised
    from imgtool_tabletop.world.batch import gather
    from imgtool_tabletop.world.render import measure, render
    from imgtool_tabletop.world.sample import BROAD

    def subject(index: int) -> Mapping[str, Tensor]:
        scene = scene_at(seed, index, BROAD, held_out=held_out)
        truth = measure(gather([scene]), size)
        body, count = truth.body[0], len(scene.solids)
        axis = torch.tensor([scene.camera.project(solid.centre)[2] for solid in scene.solids])
        radius = torch.tensor([solid.radius for solid in scene.solids])
        return {
            "image": quantised(render([scene], size)[0]),
            "depth": truth.depth[0],
            "labels": torch.where((body >= 0) & (body < count), body + 1, 0),
            "nearest_m": axis - radius,
            "farthest_m": axis + radius,
        }

    return subject
