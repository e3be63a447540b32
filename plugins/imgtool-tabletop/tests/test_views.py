"""Every view: what it declares, the same examples however asked for, to disk and back."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.utils.data import DataLoader

from imgtool_tabletop import plugin
from imgtool_tabletop.views import makers
from imgtool_tabletop.views.catalogue import VIEWS
from imgtool_tabletop.views.datasets import ViewDataset, ViewStream, WrittenDataset
from imgtool_tabletop.views.params import (
    CamerasParams,
    DataParams,
    DefocusParams,
    EditsParams,
    InstancesParams,
    LeavesParams,
    ScalesParams,
    SceneParams,
    TexturesParams,
)
from imgtool_tabletop.views.scenes import Pairs
from imgtool_tabletop.views.view import Example, Kind, View
from imgtool_tabletop.views.writing import write_view

if TYPE_CHECKING:
    from pathlib import Path

SMALL: dict[str, DataParams] = {
    "pairs": SceneParams(2, 16),
    "defocus": DefocusParams(2, 16, lens_points=6),
    "cameras": CamerasParams(2, 16, views=2),
    "instances": InstancesParams(2, 16, crop=8),
    "edits": EditsParams(2, 16),
    "scales": ScalesParams(2, 16, degradation="classic", low=1.5, high=1.5, sharpen=True),
    "leaves": LeavesParams(2, 16),
    "textures": TexturesParams(2, 16),
}
DTYPES = {
    Kind.PICTURE: torch.uint8,
    Kind.MASK: torch.bool,
    Kind.LABELS: torch.uint8,
    Kind.METRES: torch.float32,
    Kind.VALUES: torch.float32,
    Kind.NUMBERS: torch.float32,
}
every_view = pytest.mark.parametrize("name", VIEWS)


def small(name: str) -> View[Any]:
    return VIEWS[name](SMALL[name])


def equal(first: Any, second: Any) -> bool:
    return torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(equal(first[k], second[k]) for k in first)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def write(view: View[Any], folder: Path, work: Path) -> None:
    folder.mkdir()
    write_view(view, folder, work, lambda line: None)


def test_every_view_has_a_maker_of_its_name() -> None:
    assert tuple(VIEWS) == plugin.VIEWS == tuple(SMALL)
    for name in VIEWS:
        assert getattr(makers, f"{name.title()}Data").id == f"data.tabletop/{name}"


@every_view
def test_examples_hold_the_declared_layers(name: str) -> None:
    view = small(name)
    example = view.example(1)
    assert set(example.values) == {layer.name for layer in view.layers}
    for layer in view.layers:
        value = example.values[layer.name]
        if layer.kind is Kind.TEXT:
            assert value
            assert isinstance(value, str)
        else:
            assert isinstance(value, torch.Tensor)
            assert value.dtype == DTYPES[layer.kind], layer.name
    json.dumps(example.record)


@every_view
def test_an_example_is_the_same_alone_and_in_a_batch(name: str) -> None:
    late, early = small(name).item(1), small(name).item(0)
    batch = next(iter(DataLoader(ViewDataset(small(name)), batch_size=2)))
    for index, alone in ((1, late), (0, early)):
        row = {key: values[index] for key, values in batch.items()}
        assert same(row, alone | {"index": torch.tensor(index)})


@every_view
def test_indices_and_seeds_give_other_pictures(name: str) -> None:
    picture = next(layer.name for layer in VIEWS[name].layers if layer.kind is Kind.PICTURE)
    again = VIEWS[name](type(SMALL[name])(**{**vars(SMALL[name]), "seed": 2}))
    seen = [small(name).example(0), small(name).example(1), again.example(0)]
    for first, second in itertools.combinations(seen, 2):
        assert not equal(first.values[picture], second.values[picture])


@every_view
def test_what_is_written_reads_back_as_it_was(name: str, tmp_path: Path) -> None:
    write(small(name), tmp_path / "data", tmp_path / "work")
    written = WrittenDataset(tmp_path / "data")
    assert len(written) == 2
    for index, item in enumerate(written):
        made = small(name).item(index)
        for layer in VIEWS[name].layers:
            if layer.kind is Kind.METRES:
                torch.testing.assert_close(item[layer.name], made[layer.name], rtol=0, atol=0.51e-4)
            else:
                assert equal(item[layer.name], made[layer.name]), layer.name
    manifest = json.loads((tmp_path / "data" / "manifest.json").read_text())
    assert manifest["params"] == vars(SMALL[name])
    rows = [
        json.loads(line) for line in (tmp_path / "data" / "rows.jsonl").read_text().splitlines()
    ]
    assert all((tmp_path / "data" / row["path"]).is_file() for row in rows)


class Counted(Pairs):
    """Pairs that remember what they made, and stop at one example."""

    def __init__(self, params: SceneParams, stop_at: int = -1) -> None:
        super().__init__(params)
        self.stop_at = stop_at
        self.made: list[int] = []

    def example(self, index: int) -> Example:
        if index == self.stop_at:
            raise KeyboardInterrupt
        self.made.append(index)
        return super().example(index)


def test_stopped_writing_goes_on_where_it_was_to_the_same_bytes(tmp_path: Path) -> None:
    work, params = tmp_path / "work", SceneParams(4, 8)
    write(Pairs(params), tmp_path / "unbroken", tmp_path / "other")
    (tmp_path / "stopped").mkdir()
    with pytest.raises(KeyboardInterrupt):
        write_view(Counted(params, stop_at=2), tmp_path / "stopped", work, lambda line: None)
    assert list((tmp_path / "stopped").iterdir()) == []
    again = Counted(params)
    write(again, tmp_path / "whole", work)
    assert again.made == [2, 3]
    assert files_of(tmp_path / "whole") == files_of(tmp_path / "unbroken")


def test_stopped_writing_of_other_parameters_or_of_more_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    work = tmp_path / "work"
    for params in (SceneParams(4, 8, seed=9), SceneParams(4, 8)):
        with pytest.raises(KeyboardInterrupt):
            write_view(Counted(params, stop_at=3), tmp_path, work, lambda line: None)
    fewer = Counted(SceneParams(2, 8))
    write(fewer, tmp_path / "few", work)
    write(Pairs(SceneParams(2, 8)), tmp_path / "fresh", tmp_path / "other")
    assert fewer.made == []
    assert files_of(tmp_path / "few") == files_of(tmp_path / "fresh")


def test_a_folder_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"schema": "imgtool-tabletop.data/99"}')
    with pytest.raises(ValueError, match="data/99"):
        WrittenDataset(tmp_path)


def test_a_dataset_has_an_end_and_a_stream_has_none() -> None:
    dataset = ViewDataset(small("textures"))
    assert [item["index"] for item in dataset] == [0, 1]
    stream = itertools.islice(ViewStream(small("textures"), first=2), 4)
    assert [item["index"] for item in stream] == [2, 3, 4, 5]


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker")
def test_workers_share_a_stream_out_without_repeats() -> None:
    loader = DataLoader(ViewStream(small("textures")), batch_size=None, num_workers=2)
    assert sorted(item["index"] for item in itertools.islice(loader, 6)) == [0, 1, 2, 3, 4, 5]


def test_items_stack_whatever_the_number_of_solids() -> None:
    batch = next(iter(DataLoader(ViewDataset(small("instances")), batch_size=2)))
    assert batch["crops"].shape == (2, 6, 3, 8, 8)
    assert (batch["crops"].amax((2, 3, 4)) > 0).equal(batch["seen"] > 0)
