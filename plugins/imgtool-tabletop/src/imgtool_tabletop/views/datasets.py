"""Views as datasets of plain torch: by index, endless, and read back from disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from imgtool_tabletop.views.catalogue import VIEWS
from imgtool_tabletop.views.files import check_format, read_layer
from imgtool_tabletop.views.instances import Instances, padded
from imgtool_tabletop.views.view import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from imgtool_tabletop.views.view import View

Item = dict[str, Tensor | str | int]


class ViewDataset(Dataset[Item]):
    """The first `params.count` examples of a view, made when asked for."""

    def __init__(self, view: View[Any]) -> None:
        self.view = view

    def __len__(self) -> int:
        return int(self.view.params.count)

    def __getitem__(self, index: int) -> Item:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.view.item(index)


class ViewStream(IterableDataset[Item]):
    """Examples `first`, `first` + 1, … without end; workers of a loader share them out."""

    def __init__(self, view: View[Any], first: int = 0) -> None:
        self.view = view
        self.first = first

    def __iter__(self) -> Iterator[Item]:
        worker = get_worker_info()
        index = self.first + (worker.id if worker else 0)
        while True:
            yield self.view.item(index)
            index += worker.num_workers if worker else 1


class WrittenDataset(Dataset[Item]):
    """Examples that a `data.tabletop/…` maker wrote: the same items, depth to 0.05 mm.

    Raises
    ------
    ValueError : the folder was written in another format.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        manifest = json.loads((folder / "manifest.json").read_text())
        check_format(manifest)
        self.view = VIEWS[manifest["view"]]
        rows = (folder / "rows.jsonl").read_text().splitlines()
        self.ids = [json.loads(row)["id"] for row in rows]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Item:
        record = json.loads((self.folder / "records" / f"{self.ids[index]}.json").read_text())
        item: Item = {"index": record["index"]}
        for layer in self.view.layers:
            value = read_layer(self.folder, layer, record)
            item[layer.name] = value / 255.0 if layer.kind is Kind.PICTURE else value  # type: ignore[operator]
        return padded(item) if self.view is Instances else item
