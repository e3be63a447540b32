"""The criteria as makers: `imgtool prune.obs --model tabletop --sparsity 0.5 -o slim/`.

A pruning that is stopped goes on at its first unfinished package when the same command is given
again.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Generic, Literal, TypeVar

from imgtool.api import BadParams, Bounds, Help, Maker, ModelRef, PathTo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from imgtool.api import Runtime
    from imgtool_prune.methods import Method
    from imgtool_prune.removal import Removal


@dataclass(frozen=True)
class ModelParams:
    """Parameters of every criterion."""

    model: Annotated[str, Help("Model to prune."), ModelRef("text-to-image")] = "tabletop"
    sparsity: Annotated[
        float | None,
        Help("Share to prune; if not given, 0.5 of the weights, 0.2 of heads and neurons."),
        Bounds(0, 1),
    ] = None
    exclude: Annotated[
        tuple[str, ...], Help("Leave out layers like this, such as '*.attn2.*'.")
    ] = ()
    sparsity_of: Annotated[
        tuple[str, ...],
        Help("Share to prune of layers like this, such as '*.attn2.*=0.3'; the last counts."),
    ] = ()
    blocks: Annotated[
        str, Help("Prune these blocks alone, as FIRST:END in order of execution, from 0.")
    ] = ""
    target: Annotated[
        str,
        Help("Find the sparsity: 12MB, 3GFLOP, 60%size, 60%FLOP, or at most 5%loss."),
    ] = ""


@dataclass(frozen=True)
class MaskParams(ModelParams):
    """Parameters of criteria that prune single weights."""

    pattern: Annotated[
        str, Help("unstructured, or N:M to keep N of every M neighbours, such as 2:4.")
    ] = "unstructured"


@dataclass(frozen=True)
class StructureParams:
    """Parameters of criteria that remove heads and neurons."""

    layout: Annotated[
        Literal["compact", "padded"],
        Help("Write smaller layers, or zeros in layers of the same shape."),
    ] = "compact"
    multiple: Annotated[
        int, Help("Leave a multiple of so many neurons; 1: the exact share."), Bounds(1)
    ] = 64


@dataclass(frozen=True)
class CalibratedParams(MaskParams):
    """Parameters of criteria that look at inputs."""

    prompts: Annotated[
        str,
        Help("Prompts to calibrate with, one a line; the model's own captions.txt if empty."),
        PathTo("prompts"),
    ] = ""
    count: Annotated[int, Help("Use the first so many prompts."), Bounds(1)] = 100
    steps: Annotated[int, Help("Denoising steps; 0: as the model advises."), Bounds(0)] = 0
    guidance: Annotated[
        float | None, Help("Guidance scale; as the model advises if not given."), Bounds(0)
    ] = None
    batch: Annotated[int, Help("Prompts at once."), Bounds(1)] = 4
    packages: Annotated[
        int, Help("Runs over all prompts, each followed by pruning; 0: by memory."), Bounds(0)
    ] = 4
    memory: Annotated[
        float, Help("GiB for the Hessians of a package, where memory decides."), Bounds(0)
    ] = 4.0
    seed: Annotated[int, Help("Seed of the first prompt's noise."), Bounds(0)] = 0
    held_out: Annotated[
        int, Help("Prompts after those, to measure a target's loss with."), Bounds(1)
    ] = 16


@dataclass(frozen=True)
class WeighedParams(CalibratedParams):
    """Parameters of criteria that weigh denoising steps."""

    weighting: Annotated[
        Literal["log_decrease", "log_increase", "linear_decrease", "linear_increase", "uniform"],
        Help("How a step's weight runs from the first to the last."),
    ] = "log_decrease"
    a_min: Annotated[float, Help("Least weight of a step."), Bounds(0)] = 0.8
    a_max: Annotated[float, Help("Largest weight of a step."), Bounds(0)] = 1.2


@dataclass(frozen=True)
class SparseGptParams(StructureParams, CalibratedParams):
    """Parameters of `prune.sparsegpt`."""

    pattern: Annotated[
        str,
        Help("unstructured; N:M to keep N of every M neighbours; structured: heads and neurons."),
    ] = "unstructured"
    head_score: Annotated[
        Literal["reference", "exact"],
        Help("Judge a head as OBS-Diff's code does, or by what removing it costs."),
    ] = "reference"
    damping: Annotated[
        float, Help("Added to the Hessian's diagonal, relative to its mean."), Bounds(0)
    ] = 0.01
    block: Annotated[int, Help("Columns whose mask is decided together."), Bounds(1)] = 128
    rule: Annotated[
        Literal["exact", "reference"],
        Help("Prune the exact share of a block, or one more as SparseGPT's code does."),
    ] = "exact"
    allocation: Annotated[
        Literal["uniform", "error"],
        Help("Prune all layers alike, or more where the expected error is small."),
    ] = "uniform"
    spread: Annotated[
        float, Help("Most that a layer's sparsity may differ from the whole's."), Bounds(0, 1)
    ] = 0.2


@dataclass(frozen=True)
class ObsParams(SparseGptParams, WeighedParams):
    """Parameters of `prune.obs`."""


@dataclass(frozen=True)
class DsnotParams(WeighedParams):
    """Parameters of `prune.dsnot`."""

    damping: Annotated[
        float, Help("Added to the Hessian's diagonal, relative to its mean."), Bounds(0)
    ] = 0.01
    cycles: Annotated[int, Help("Most swaps in a row of weights."), Bounds(0)] = 50
    keep_sign: Annotated[bool, Help("Stop a row before its expected error turns its sign.")] = False


@dataclass(frozen=True)
class L1Params(StructureParams, ModelParams):
    """Parameters of `prune.l1`."""


P = TypeVar("P", bound=ModelParams)


class _Pruner(Maker[P], Generic[P]):
    task: ClassVar[str] = "text-to-image"

    def make(self, params: P, inputs: Mapping[str, Path], out_dir: Path, runtime: Runtime) -> None:
        """Prune the model, and write it with a report.

        Raises
        ------
        BadParams, InputEmpty, ModelUnusable, UnknownComponent : before anything is computed.
        StageFailed : a layer cannot be pruned.
        """
        from imgtool_prune.making import prune_model

        prune_model(f"{self.id}/{self.version}", self.method(params), params, out_dir, runtime)

    @abstractmethod
    def method(self, params: P) -> Method | Removal:
        """The criterion: of single weights, or of heads and neurons."""


G = TypeVar("G", bound=SparseGptParams)


class _Surgeon(_Pruner[G], Generic[G]):
    def method(self, params: G) -> Method | Removal:
        """OBS with repair.

        Raises
        ------
        BadParams : a structured pruning is asked to allocate by error.
        """
        from imgtool_prune.methods import Obs
        from imgtool_prune.removal import ObsRemoval

        if params.pattern == "structured":
            if params.allocation != "uniform":
                raise BadParams(
                    "allocation spreads single weights, no heads and neurons",
                    "Leave allocation out, or say --sparsity-of for some layers",
                )
            return ObsRemoval(params.damping, params.head_score)
        return Obs(params.damping, params.block)


class PruneObs(_Surgeon[ObsParams]):
    """OBS-Diff."""

    id = "prune.obs"
    summary = "Prune by Optimal Brain Surgeon with denoising steps weighed, and repair (OBS-Diff)."


class PruneSparseGpt(_Surgeon[SparseGptParams]):
    """SparseGPT: OBS-Diff with all steps alike."""

    id = "prune.sparsegpt"
    summary = "Prune by Optimal Brain Surgeon with all steps alike, and repair (SparseGPT)."


class PruneWanda(_Pruner[WeighedParams]):
    """Wanda."""

    id = "prune.wanda"
    summary = "Prune the smallest products of weight and norm of its input, without repair (Wanda)."

    def method(self, params: WeighedParams) -> Method:
        """Wanda."""
        from imgtool_prune.methods import Wanda

        return Wanda()


class PruneDsnot(_Pruner[DsnotParams]):
    """DSnoT."""

    id = "prune.dsnot"
    summary = "Prune by OBS scores, then swap weights until rows' expected error is small (DSnoT)."

    def method(self, params: DsnotParams) -> Method:
        """DSnoT."""
        from imgtool_prune.methods import Dsnot

        return Dsnot(params.damping, params.cycles, params.keep_sign)


class PruneMagnitude(_Pruner[MaskParams]):
    """Magnitude."""

    id = "prune.magnitude"
    summary = "Prune the smallest weights of each layer; needs no prompts."

    def method(self, params: MaskParams) -> Method:
        """Magnitude."""
        from imgtool_prune.methods import Magnitude

        return Magnitude()


class PruneL1(_Pruner[L1Params]):
    """L1 norms of heads and neurons."""

    id = "prune.l1"
    summary = "Remove the heads and neurons of smallest L1 norm; needs no prompts."

    def method(self, params: L1Params) -> Removal:
        """L1 norms."""
        from imgtool_prune.removal import L1Removal

        return L1Removal()
