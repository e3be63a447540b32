"""What a command may fetch: only models that it names itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgtool.pipeline import MakerUse, StageUse
    from imgtool.registry import Registry


def may_download(uses: Sequence[MakerUse | StageUse], registry: Registry) -> bool:
    """Whether one of `uses` names a model that is no alias, no `@maker` and nothing on this disk.

    Without such a model nothing may be fetched, and libraries are told not to ask the hub.
    """
    aliases = {item.name for item in registry.components("model")}
    for use in uses:
        spec = registry.spec(use.kind, use.use)
        for param in spec.params:
            if not param.model_task or param.name not in use.params:
                continue
            value = use.params[param.name]
            for ref in map(str, value if isinstance(value, list) else [value]):
                here = ref in aliases or ref.startswith("@") or Path(ref).exists()
                if not here and not Path(ref.partition(":")[0]).exists():
                    return True
    return False
