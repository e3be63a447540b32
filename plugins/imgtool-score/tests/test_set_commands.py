"""`imgtool bench fid|kid|pfid|rfid` as commands, with the tabletop judge as extractor."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_scorers import pictures

from imgtool.api import (
    BadParams,
    InputUnreadable,
    ModelUnusable,
    Runtime,
    UnknownComponent,
    stored_rows,
)
from imgtool_score.sets import commands
from imgtool_score.sets.reconstructing import load_autoencoder
from schemas import faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Bench = Callable[..., Any]

JUDGE = ("--features", "tabletop/judge")


def save_all(folder: Path, images: list[np.ndarray], suffix: str = "png") -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}.{suffix}")
    return folder


@dataclass(frozen=True)
class Sets:
    """Folders of pictures, and statistics of the first."""

    one: Path
    two: Path
    large: Path
    saved: Path


@pytest.fixture(scope="module")
def call(registry: Any) -> Callable[..., int]:
    """Runs a command under a root that knows the installed components."""

    def run(name: str, *arguments: object) -> int:
        command: click.Command = getattr(commands, name)
        with click.Context(click.Group("imgtool"), info_name="imgtool") as root:
            root.meta["registry"] = registry
            with command.make_context(name, [str(a) for a in arguments], parent=root) as ctx:
                status: int = command.invoke(ctx)
        return status

    return run


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory, call: Callable[..., int]) -> Sets:
    folder = tmp_path_factory.mktemp("sets")
    found = Sets(
        save_all(folder / "one", pictures(40, 0, (64, 64))),
        save_all(folder / "two", pictures(30, 1, (64, 64))),
        save_all(folder / "large", pictures(6, 2, (96, 80))),
        folder / "one.safetensors",
    )
    assert call("fid", found.one, "--save", found.saved, *JUDGE) == 0
    return found


@pytest.fixture
def bench(call: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> Bench:
    """The document that a command prints."""

    def document(name: str, *arguments: object, status: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert call(name, *arguments, "--json") == status
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert faults("set-measure-1", found) == []
        assert all(faults("set-measure-1", {k: found[k] for k in found if k != n}) for n in found)
        return found

    return document


def test_a_set_is_at_no_distance_from_itself(bench: Bench, sets: Sets) -> None:
    found = bench("fid", sets.one, sets.one, *JUDGE)
    assert found["value"] < 1e-6
    assert found["pictures"] == {
        "given": str(sets.one), "place": "folder", "count": 40, "skipped": 0
    }  # fmt: skip


def test_saving_alone_measures_nothing(bench: Bench, sets: Sets, tmp_path: Path) -> None:
    found = bench("fid", sets.large, "--save", tmp_path / "large.safetensors", *JUDGE)
    assert (found["value"], found["reference"], found["warnings"]) == (None, None, [])
    assert bench("fid", tmp_path / "large.safetensors", sets.large)["value"] < 1e-6


def test_statistics_stand_for_their_pictures(bench: Bench, sets: Sets) -> None:
    direct = bench("fid", sets.one, sets.two, *JUDGE)
    assert direct["value"] > 0
    stored = bench("fid", sets.saved, sets.two)
    assert stored["value"] == pytest.approx(direct["value"], rel=1e-9)
    assert stored["extraction"] == direct["extraction"]
    assert stored["pictures"]["place"] == "statistics"


@pytest.mark.parametrize("name", ["fid", "kid"])
def test_two_files_of_statistics_are_compared_without_any_model(
    name: str, bench: Bench, sets: Sets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "imgtool.runtime.context.Runtime.component", lambda *_: pytest.fail("a model was asked for")
    )
    assert bench(name, sets.saved, sets.saved)["value"] == pytest.approx(0, abs=1e-1)


def test_kid_says_its_deviation(bench: Bench, sets: Sets) -> None:
    found = bench("kid", sets.saved, sets.two, "--subsets", 20, "--subset-size", 15)
    assert (found["subsets"], found["subset_size"]) == (20, 15)
    assert found["deviation"] > 0
    assert found["warnings"] == []
    again = bench("kid", sets.saved, sets.two, "--subsets", 20, "--subset-size", 15, "--seed", 1)
    assert again["value"] != found["value"]


def test_a_set_smaller_than_its_features_is_warned_of(bench: Bench, sets: Sets) -> None:
    warnings = bench("fid", sets.saved, sets.two)["warnings"]
    assert [text.split(":")[0] for text in warnings] == ["pictures", "reference"]
    assert all("singular" in text and "kid" in text for text in warnings)


def test_extrapolation_is_the_same_from_pictures_and_from_statistics(
    bench: Bench, sets: Sets
) -> None:
    direct = bench("fid", sets.one, sets.two, "--infinite", *JUDGE)
    line = direct["infinite"]
    assert line["sizes"][-1] == 40
    assert line["values"][-1] == pytest.approx(direct["value"])
    assert line["value"] < direct["value"]
    stored = bench("fid", sets.saved, sets.two, "--infinite")["infinite"]
    assert stored["sizes"] == line["sizes"]
    assert stored["value"] == pytest.approx(line["value"], rel=1e-6)


def test_patches_are_counted_and_never_compared_with_whole_pictures(
    bench: Bench, call: Callable[..., int], sets: Sets
) -> None:
    found = bench("fid", sets.large, sets.one, "--crops", 3, *JUDGE)
    assert (found["pictures"]["count"], found["reference"]["count"]) == (18, 120)
    assert (found["extraction"]["crops"], found["extraction"]["crop"]) == (3, 64)
    with pytest.raises(BadParams, match="whole pictures"):
        call("fid", sets.saved, sets.large, "--crops", 3)


def test_reconstructions_are_those_of_the_autoencoder(
    bench: Bench, sets: Sets, registry: Any
) -> None:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    runtime = Runtime(device="cpu", registry=registry)
    folder = runtime.model("tabletop", "autoencoder").path / "vae"
    vae = AutoencoderKL.from_pretrained(folder).eval()
    image = pictures(1, size=(64, 64))[0]
    x = torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        y = vae.decode(vae.encode(x).latent_dist.mean).sample[0].permute(1, 2, 0)
    expected = ((y + 1) * 127.5).round().clamp(0, 255).numpy()
    reconstructed = load_autoencoder(runtime, "tabletop")
    assert np.abs(reconstructed(image).astype(float) - expected).max() <= 1
    assert reconstructed(image[:61, :50]).shape == (61, 50, 3)
    found = bench("rfid", sets.large, "--vae", "tabletop", *JUDGE)
    assert found["reference"] == {
        "given": "tabletop", "place": "reconstructions", "count": 6, "skipped": 0
    }  # fmt: skip
    assert found["value"] > 0


def test_reconstructions_in_a_folder_are_matched_by_name(
    bench: Bench, call: Callable[..., int], sets: Sets, tmp_path: Path
) -> None:
    images = pictures(6, 2, (96, 80))
    again = save_all(tmp_path / "again", images, "webp")
    assert bench("rfid", sets.large, again, *JUDGE)["value"] > 0
    with pytest.raises(BadParams, match="lacks 34"):
        call("rfid", sets.one, again, *JUDGE)


def test_a_store_is_the_pictures_that_its_newest_run_ended_with(
    bench: Bench, sets: Sets, tmp_path: Path
) -> None:
    import imgtool

    rows = [{"image": image} for image in pictures(40, 0, (64, 64))]
    file = tmp_path / "pipelines.toml"
    file.write_text('[one]\n[[one.stage]]\nuse = "select.top"\nby = "seed"\nk = 40\n')
    store = tmp_path / "s.zarr"
    imgtool.run(f"{file}:one", rows=rows, store=store)
    assert len(list(stored_rows(store))) == 40
    found = bench("fid", store, sets.saved)
    assert found["value"] < 1e-6
    assert found["pictures"]["place"] == "store"


@pytest.mark.parametrize(("policy", "status"), [("stop", None), ("skip", 1)])
def test_a_corrupt_picture_is_named_or_counted(
    policy: str, status: int | None, bench: Bench, sets: Sets, tmp_path: Path
) -> None:
    folder = save_all(tmp_path / "bad", pictures(3, 0, (64, 64)))
    (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:99])
    arguments = ("fid", folder, sets.saved, "--on-error", policy)
    if status is None:
        with pytest.raises(InputUnreadable, match=r"broken\.png"):
            bench(*arguments)
        return
    found = bench(*arguments, status=status)
    assert (found["pictures"]["count"], found["pictures"]["skipped"]) == (3, 1)
    assert found["reference"]["skipped"] == 0


def test_a_table_says_what_was_compared(
    call: Callable[..., int], sets: Sets, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("kid", sets.saved, sets.saved, "--subsets", 3, "--subset-size", 5) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == [
        "kid", "pictures", "reference", "features"
    ]  # fmt: skip
    assert "(3 × 5)" in out
    assert "tabletop/judge at 64×64" in out


def test_pictures_are_counted_on_a_terminal_alone(
    call: Callable[..., int],
    sets: Sets,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ("kid", sets.large, sets.saved, "--subset-size", 5, "--json")
    assert call(*command) == 0
    quiet = capsys.readouterr()
    assert quiet.err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert call(*command) == 0
    shown = capsys.readouterr()
    assert str(sets.large) in shown.err
    assert shown.out == quiet.out


def test_clip_is_an_extractor_with_any_clip_as_its_model(
    bench: Bench, sets: Sets, tiny_clip: Path
) -> None:
    found = bench("fid", sets.large, sets.large, "--model", tiny_clip)
    assert found["value"] < 1e-6
    assert found["extraction"]["extractor"] == "clip"
    assert found["extraction"]["resolution"] == 32


REFUSED = {
    "nothing to compare with": (("fid", "ONE"), BadParams, "nothing to compare"),
    "a vae and reconstructions": (
        ("rfid", "ONE", "TWO", "--vae", "tabletop"), BadParams, "makes the second set"
    ),
    "a vae and no pictures": (
        ("rfid", "SAVED", "--vae", "tabletop"), BadParams, "no pictures to reconstruct"
    ),
    "a model that is no vae": (("rfid", "ONE", "--vae", "tabletop/clip"), ModelUnusable, "no Auto"),
    "a name that nothing has": (
        ("fid", "ONE", "TWO", "--features", "clap"), UnknownComponent, "clap"
    ),
    "another extractor than that of the statistics": (
        ("fid", "LARGE", "SAVED", "--features", "clip"), BadParams, "extractor is"
    ),
    "a place to save that is no safetensors": (
        ("fid", "ONE", "--save", "one.npz"), BadParams, r"one\.npz"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_refused(case: str, call: Callable[..., int], sets: Sets) -> None:
    words, error, says = REFUSED[case]
    named = {"ONE": sets.one, "TWO": sets.two, "LARGE": sets.large, "SAVED": sets.saved}
    with pytest.raises(error, match=says):
        call(words[0], *(named.get(word, word) for word in words[1:]))
