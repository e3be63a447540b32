"""What a stage is given to work with: the machine, as the user asked for it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from imgtool.errors import BadParams
from imgtool.runtime import journal as journals
from imgtool.runtime.models import ResolvedModel, parse_lora, resolve_model
from imgtool.runtime.openmp import settle
from imgtool.runtime.shared import Shared, process_shared

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from pathlib import Path

    import numpy as np
    import torch

    from imgtool.registry import Registry
    from imgtool.runtime.device import DeviceReport
    from imgtool.specs import Spec
    from imgtool.stages import Stage

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Runtime:
    """Device, dtype, attention, models and journal of a stage.

    Making one imports nothing heavy; torch comes with `torch_device`. Every stage gets its own
    (`for_stage`), and all of a process share the models that they load.

    Attributes
    ----------
    device, dtype, attention : as on the command line; `auto` is resolved when first used.
    deterministic : the same bytes for a row whatever its neighbours; slower.
    compute_batch : rows to compute at once inside a batch; 0: the stage's choice.
    offline : never download, not even a model that was named.
    threads : threads of torch on the CPU; 0: torch's choice.
    registry : knows components; None: loaded when first asked.
    """

    device: str = "auto"
    dtype: str = "auto"
    attention: str = "auto"
    deterministic: bool = False
    compute_batch: int = 0
    offline: bool = True
    threads: int = 0
    registry: Registry | None = None
    shared: Shared = field(default_factory=process_shared, repr=False)
    _held: list[Hashable] = field(default_factory=list, repr=False)
    _journal: Path | None = field(default=None, repr=False)
    _watcher: Callable[[int, int], None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        settle()

    def for_stage(self) -> Runtime:
        """A runtime of the same settings that holds no model yet."""
        return replace(self, _held=[], _journal=None)

    @property
    def journal(self) -> Path:
        """Folder for notes that outlive a kill; gone when the batch is committed."""
        return journals.temporary() if self._journal is None else self._journal

    @journal.setter
    def journal(self, folder: Path) -> None:
        self._journal = folder

    def advance(self, done: int, total: int) -> None:
        """Say that `done` of `total` parts of the batch are computed: for rows that take long."""
        if self._watcher is not None:
            self._watcher(done, total)

    def watch(self, watcher: Callable[[int, int], None]) -> None:
        """Have `watcher` told of every `advance`."""
        self._watcher = watcher

    @cached_property
    def torch_device(self) -> torch.device:
        """The device to compute on."""
        import torch

        from imgtool.runtime.device import make_deterministic, torch_device

        if self.offline:
            # Libraries that load folders ask the hub about them unless told not to.
            os.environ.setdefault("HF_HUB_OFFLINE", "1")
        if self.threads:
            torch.set_num_threads(self.threads)
        if self.deterministic:
            make_deterministic()
        return torch_device(self.device)

    @cached_property
    def torch_dtype(self) -> torch.dtype:
        """The number format to compute in."""
        from imgtool.runtime.device import torch_dtype

        return torch_dtype(self.dtype, self.torch_device, self.deterministic)

    @cached_property
    def attention_backend(self) -> str:
        """`xformers` or `sdpa`."""
        from imgtool.runtime.attention import choose

        return choose(self.attention, str(self.torch_device))

    def choose_attention(self, pipe: Any) -> None:
        """Have a pipeline of diffusers attend by xformers, where that runs and changes nothing."""
        from imgtool.runtime.attention import is_plain

        if self.attention_backend == "xformers" and is_plain(pipe):
            pipe.enable_xformers_memory_efficient_attention()

    def rows_at_once(self, rows: int) -> int:
        """Rows to compute at once out of `rows`; one when deterministic."""
        if self.deterministic:
            return 1
        return min(rows, self.compute_batch) if self.compute_batch else rows

    def halving(
        self, compute: Callable[[Sequence[T]], Sequence[R]], rows: Sequence[T], size: int = 0
    ) -> list[R]:
        """`compute` over all `rows`, half as many at once whenever memory runs out.

        On the CPU, stages that run at the same time take turns, a call of `compute` each.
        See `imgtool.runtime.memory.halving`; `size` 0 asks `rows_at_once`.
        """
        from imgtool.runtime.memory import halving

        def in_turn(part: Sequence[T]) -> Sequence[R]:
            with self.shared.turns.turn():
                return compute(part)

        alone = in_turn if self.torch_device.type == "cpu" else compute
        return halving(alone, rows, size or self.rows_at_once(len(rows)))

    def retry_broken(
        self,
        arrays: Sequence[np.ndarray],
        again: Callable[[list[int]], Sequence[np.ndarray]] | None,
    ) -> tuple[list[np.ndarray], list[int]]:
        """`arrays`, those with NaN computed `again` in higher precision, and those still broken.

        See `imgtool.runtime.guard.retry_broken`.
        """
        from imgtool.runtime.guard import retry_broken

        return retry_broken(arrays, again)

    def model(self, ref: str, task: str) -> ResolvedModel:
        """The model that `ref` names, checked and identified, not loaded.

        Raises
        ------
        ModelUnusable, NeedsConsent : see `imgtool.runtime.models.resolve_model`.
        """
        return resolve_model(ref, task, self._registry, self.offline)

    def lora(self, text: str) -> tuple[ResolvedModel, float]:
        """The LoRA that `path:weight` names, checked, and its weight.

        Raises
        ------
        ModelUnusable, NeedsConsent : see `model`.
        """
        return self.model(text, "lora"), parse_lora(text).weight

    def load_once(self, key: Hashable, loader: Callable[[], T]) -> T:
        """What `loader` makes, made once in the process for all who give the same `key`.

        It is dropped when every stage that asked for it has called `release`.
        """
        value = self.shared.acquire(key, loader)
        self._held.append(key)
        return value

    def release(self) -> None:
        """Let go of everything that `load_once` gave to this stage."""
        while self._held:
            self.shared.release(self._held.pop())

    def component(self, kind: str, name: str) -> object:
        """The object that a plugin registered.

        Raises
        ------
        UnknownComponent, AmbiguousComponent, BrokenPlugin : as the names say.
        """
        return self._registry.resolve(kind, name)

    def spec(self, name: str) -> Spec:
        """The declaration of the stage that `name` means; its plugin is not imported.

        Raises
        ------
        UnknownComponent, AmbiguousComponent, BrokenPlugin : as the names say.
        """
        return self._registry.spec("stage", name)

    def stage(self, name: str, **params: object) -> Stage[Any]:
        """A stage by name, validated and opened, for stages that need others. Close it.

        `name` may give parameters too, as `NAME:key=value,key=value`: see `StageRef`.

        Raises
        ------
        UnknownComponent, BadParams, ModelUnusable : as the names say.
        """
        from imgtool.declared import params_type
        from imgtool.params import parse_reference, validate

        spec, given = parse_reference(name, self.spec)
        twice = sorted(given.keys() & params.keys())
        if twice:
            raise BadParams(f"{spec.id}: {twice[0]!r} is given twice", f"Leave it out of {name!r}")
        stage_class: Any = self._registry.resolve("stage", spec.owned)
        values: Any = validate(params_type(stage_class), {**given, **params})
        stage: Stage[Any] = stage_class()
        stage.params, stage.runtime = values, self.for_stage()
        stage.open(values, stage.runtime)
        return stage

    def device_report(self) -> DeviceReport:
        """What computing uses here, now. Imports torch."""
        import torch

        from imgtool.runtime.device import DeviceReport
        from imgtool.runtime.memory import available_bytes

        device = self.torch_device
        return DeviceReport(
            device=str(device),
            dtype=str(self.torch_dtype).removeprefix("torch."),
            attention=self.attention_backend,
            name=torch.cuda.get_device_name(device) if device.type == "cuda" else "",
            threads=torch.get_num_threads(),
            torch=torch.__version__,
            available_bytes=available_bytes(str(device)),
        )

    @property
    def _registry(self) -> Registry:
        if self.registry is None:
            from imgtool.registry import Registry

            self.registry = Registry.load()
        return self.registry
