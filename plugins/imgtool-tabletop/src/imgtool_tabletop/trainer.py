"""What the family's trainers have in common as makers: pictures, a device, a journal and a log."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from imgtool.api import BadParams, InputMissing, Maker, quiet_libraries
from imgtool_tabletop.training.params import ACCELERATED, ModelParams, TrainParams

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from imgtool.api import Runtime
    from imgtool_tabletop.training.bank import PictureBank


@dataclass(frozen=True)
class Place:
    """Where a training takes place.

    out_dir : the folder to make. work_dir : of checkpoints and `log.csv`. device : what computes.
    """

    out_dir: Path
    work_dir: Path
    device: torch.device


P = TypeVar("P", bound=TrainParams)


class TrainMaker(Maker[P], Generic[P]):
    """Renders in one process and trains in another."""

    broad: ClassVar[bool] = False
    """Whether training sees every table, light and framing often, not the first few mostly."""
    accelerated: ClassVar[bool] = False
    """Whether an accelerator is used where there is one; others train on the CPU."""

    def make(self, params: P, inputs: Mapping[str, Path], out_dir: Path, runtime: Runtime) -> None:
        """Render in one process, train in this one.

        Raises
        ------
        BadParams : pictures that are there already are of other scenes.
        """
        quiet_libraries("transformers", "diffusers")
        from imgtool_tabletop.training.bank import being_filled
        from imgtool_tabletop.training.log import keep_logs

        place = Place(out_dir, runtime.journal, self.device(params, runtime))
        count = 128 if params.smoke else params.pictures
        folder = self.bank_folder(params, runtime.journal)
        bank = self.bank(folder, params.seed, count)
        if bank.filled() and not bank.agrees():
            raise BadParams(
                f"{str(folder)!r} holds pictures of other scenes than seed {params.seed} gives",
                "Name a bank of the same seed and kind, or none",
            )
        with being_filled(bank, at_least=min(count, 2048)):
            self.train(params, bank, place)
        keep_logs(runtime.journal, out_dir)

    def device(self, params: P, runtime: Runtime) -> torch.device:
        """What computes.

        Raises
        ------
        BadParams : the budget is an accelerator's, and none is here or of use.
        """
        import torch

        # Asked first of all, since it sets torch's threads.
        found = runtime.torch_device
        device = found if self.accelerated else torch.device("cpu")
        if params.budget == ACCELERATED and device.type == "cpu":
            raise BadParams(
                f"{self.id} trains on the CPU, and budget {ACCELERATED!r} is an accelerator's",
                "Write 20m or 2h",
            )
        if device != found:
            report(f"{self.id} trains on the CPU")
        return device

    def bank_folder(self, params: P, journal: Path) -> Path:
        """Where the pictures are or will be."""
        return journal / "bank"

    def bank(self, folder: Path, seed: int, count: int) -> PictureBank:
        """The pictures to train on."""
        from imgtool_tabletop.training.bank import PictureBank
        from imgtool_tabletop.world.sample import BROAD, FIRST

        return PictureBank(folder, seed, count, distribution=BROAD if self.broad else FIRST)

    @abstractmethod
    def train(self, params: P, bank: PictureBank, place: Place) -> None:
        """Train on the bank's pictures."""


Q = TypeVar("Q", bound=ModelParams)


class SharingMaker(TrainMaker[Q], Generic[Q]):
    """One that can train on the pictures of another training."""

    broad = True

    def bank_folder(self, params: Q, journal: Path) -> Path:
        """The folder that `bank` names, else one's own.

        Raises
        ------
        InputMissing : it holds no pictures.
        """
        if not params.bank:
            return super().bank_folder(params, journal)
        if not (Path(params.bank) / "pictures.u8").is_file():
            raise InputMissing(
                f"{params.bank!r} holds no rendered pictures",
                "Name the folder NAME.journal/bank of another training",
            )
        return Path(params.bank)


def report(line: str) -> None:
    """Progress of a training, to the log."""
    import logging

    logging.getLogger("imgtool.train").info(line)
