"""Sets on disk: statistics files, folders, and how pictures come to the extractor's square."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file
from tiny_scorers import pictures

from imgtool.api import BadParams, InputEmpty, InputMissing, InputUnreadable
from imgtool_score.sets import saved
from imgtool_score.sets.collecting import Collector
from imgtool_score.sets.measuring import BadPictures, Measuring
from imgtool_score.sets.pictures import Picture, Place, pictures_in, place_of, require_pairs
from imgtool_score.sets.resize import Patches, patches, squared

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Thumbnail:
    """An extractor without weights: the square itself."""

    edge: int = 4
    width: int = 48
    fingerprint: str = "thumbnail"

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.reshape(len(pixels), -1)


def as_set(images: list[np.ndarray]) -> list[Picture]:
    return [
        Picture(f"{number}.png", lambda image=image: image) for number, image in enumerate(images)
    ]


def measured(
    images: list[Picture], batch: int = 32, kept: int = 100, cut: Patches | None = None
) -> saved.FeatureSet:
    measuring = Measuring(Thumbnail(), "thumbnail", "", cut or Patches(), batch)
    return measuring.collect(images, Collector(48, kept), BadPictures())


@pytest.fixture(scope="module")
def found() -> saved.FeatureSet:
    return measured(as_set(pictures(30)), kept=20)


def test_statistics_are_those_of_the_features(found: saved.FeatureSet) -> None:
    rows = np.stack([squared(image, 4).ravel() for image in pictures(30)])
    np.testing.assert_allclose(found.mean, rows.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.covariance, np.cov(rows, rowvar=False), atol=1e-6)
    assert (found.count, found.skipped, len(found.sample), found.has_all) == (30, 0, 20, False)


@pytest.mark.parametrize("batch", [1, 7])
def test_order_and_batch_size_do_not_matter(found: saved.FeatureSet, batch: int) -> None:
    again = measured(as_set(pictures(30))[::-1], batch, kept=20)
    np.testing.assert_allclose(again.mean, found.mean, rtol=1e-12)
    np.testing.assert_allclose(again.covariance, found.covariance, atol=1e-12)
    np.testing.assert_array_equal(again.sample, found.sample)


def test_statistics_come_back_as_they_were_saved(found: saved.FeatureSet, tmp_path: Path) -> None:
    file = tmp_path / "new" / "a.safetensors"
    saved.save(file, found)
    first = file.read_bytes()
    back = saved.load(file)
    assert back.extraction == found.extraction
    assert (back.count, back.skipped) == (found.count, found.skipped)
    for name in saved.SHAPES:
        np.testing.assert_array_equal(getattr(back, name), getattr(found, name))
    saved.save(file, back)
    assert file.read_bytes() == first
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def spoilt(name: str, found: saved.FeatureSet, file: Path) -> None:
    """Write a statistics file that is not one, in one of many ways."""
    saved.save(file, found)
    tensors: dict[str, Any] = load_file(file)
    about = {"format": saved.FORMAT, "count": 30, "skipped": 0, **vars(found.extraction)}
    if name == "cut":
        file.write_bytes(file.read_bytes()[:-9])
        return
    if name == "text":
        file.write_text("mean: 0")
        return
    if name == "nan":
        tensors["mean"][0] = np.nan
    if name == "lopsided":
        tensors["covariance"][0, 1] += 1
    if name == "narrow":
        tensors["sample"] = tensors["sample"][:, 1:].copy()
    if name == "half precision":
        tensors["mean"] = tensors["mean"].astype(np.float16)
    if name == "no sample":
        del tensors["sample"]
    if name == "count":
        about["count"] = 3
    if name == "words":
        about["count"] = "many"
    if name == "no model":
        del about["model"]
    if name == "escapes":
        about["model"] = "\x1b]0;mine\x07"
    if name == "newer":
        about["format"] = saved.FORMAT + 1
    text = "[" * 100_000 if name == "deep" else json.dumps([1] if name == "list" else about)
    save_file(tensors, file, {} if name == "weights" else {saved.ENTRY: text})


@pytest.mark.parametrize(
    "name",
    ["cut", "text", "nan", "lopsided", "narrow", "half precision", "no sample", "count", "words",
     "no model", "weights", "newer", "deep", "list", "escapes"],
)  # fmt: skip
def test_a_spoilt_file_is_refused_by_name(
    name: str, found: saved.FeatureSet, tmp_path: Path
) -> None:
    file = tmp_path / "a.safetensors"
    spoilt(name, found, file)
    with pytest.raises(InputUnreadable, match=r"a\.safetensors"):
        saved.load(file)


def test_sets_made_in_two_ways_are_not_compared(found: saved.FeatureSet) -> None:
    other = replace(found.extraction, fingerprint="0", crops=4, crop=64)
    with pytest.raises(BadParams, match="crops is 0 and 4"):
        saved.require_comparable(found.extraction, other)
    with pytest.raises(BadParams, match="fingerprint"):
        saved.require_comparable(found.extraction, replace(found.extraction, fingerprint="0"))


def test_shrinking_is_antialiased_and_keeps_fractions_of_grey_levels() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = squared(stripes, 8)
    # Far from the edges each pixel averages eight whole periods; a filter of two pixels would not.
    np.testing.assert_allclose(small[:, :, 2:-2], 0.5, atol=0.01)
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 64, 0).repeat(3, 2)
    levels = squared(ramp, 8) * 255
    assert np.abs(levels - levels.round()).max() > 0.2
    np.testing.assert_allclose(levels[0, 0, 2:-2], np.arange(19.5, 44, 8), atol=1e-3)


def test_a_picture_of_the_right_size_is_only_scaled() -> None:
    image = pictures(1, size=(8, 8))[0]
    np.testing.assert_array_equal(
        squared(image, 8), image.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    )


def test_patches_are_pixels_of_the_picture_at_places_that_follow_from_its_name() -> None:
    rows, columns = np.mgrid[0:50, 0:70]
    image = np.stack([rows, columns, rows * 0], -1).astype(np.uint8)
    cut = patches(image, "a.png", 16, 200)
    places = {(int(part[0, 0, 0]), int(part[0, 0, 1])) for part in cut}
    for part in cut:
        top, left = part[0, 0, :2]
        np.testing.assert_array_equal(part, image[top : top + 16, left : left + 16])
    assert len(places) > 150
    assert {min(p[0] for p in places), max(p[0] for p in places)} == {0, 34}
    assert {min(p[1] for p in places), max(p[1] for p in places)} <= {0, 1, 53, 54}
    np.testing.assert_array_equal(patches(image, "a.png", 16, 3), cut[:3])
    assert any(
        not np.array_equal(a, b) for a, b in zip(patches(image, "b.png", 16, 3), cut, strict=False)
    )


def test_a_patch_larger_than_the_picture_names_it() -> None:
    with pytest.raises(InputUnreadable, match=r"'0\.png'.*48×40 pixels.*64×64"):
        measured(as_set(pictures(3)), cut=Patches(2, 64))


def test_statistics_of_patches_say_so() -> None:
    cut = measured(as_set(pictures(3)), cut=Patches(5))
    assert (cut.count, cut.extraction.crops, cut.extraction.crop) == (15, 5, 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    for number, image in enumerate(pictures(5)):
        Image.fromarray(image).save(made / f"{number}.png")
    (made / "notes.txt").write_text("not a picture")
    return made


def test_a_folder_is_its_pictures(folder: Path) -> None:
    place, path = place_of(str(folder))
    assert place is Place.FOLDER
    assert [picture.name for picture in pictures_in(place, path)] == [f"{n}.png" for n in range(5)]


BAD = {
    "cut.png": lambda folder: (folder / "0.png").read_bytes()[:200],
    "empty.png": lambda folder: b"",
    "text.jpg": lambda folder: b"not a picture at all",
    "page.png": lambda folder: (folder / "0.png").read_bytes().replace(b"IHDR", b"IXXX"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_corrupt_picture_is_named_or_counted(name: str, folder: Path) -> None:
    (folder / name).write_bytes(BAD[name](folder))
    every = list(pictures_in(Place.FOLDER, folder))
    with pytest.raises(InputUnreadable, match=name):
        measured(every)
    measuring, bad = Measuring(Thumbnail(), "thumbnail", ""), BadPictures(skip=True)
    found = measuring.collect(every, Collector(48), bad)
    assert (found.count, found.skipped) == (5, 1)


def test_a_set_of_one_picture_is_refused() -> None:
    with pytest.raises(InputEmpty, match="two pictures"):
        measured(as_set(pictures(1)))


def test_features_that_are_no_numbers_name_the_picture() -> None:
    class Broken(Thumbnail):
        def __call__(self, pixels: np.ndarray) -> np.ndarray:
            return np.where(pixels.mean((1, 2, 3)) > 2, 0, np.nan)[:, None]

    with pytest.raises(InputUnreadable, match=r"'0\.png'"):
        Measuring(Broken(), "broken", "").collect(
            as_set(pictures(2)), Collector(1), BadPictures(skip=True)
        )


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("absent", InputMissing, "no such"),
        ("notes.txt", InputUnreadable, "no set"),
    ],
)
def test_what_is_no_set_is_refused(
    name: str, error: type[Exception], says: str, folder: Path
) -> None:
    with pytest.raises(error, match=says):
        place_of(str(folder / name))


def test_a_folder_without_pictures_is_empty(tmp_path: Path) -> None:
    with pytest.raises(InputEmpty, match="no pictures"):
        list(pictures_in(Place.FOLDER, tmp_path))


def test_reconstructions_are_named_like_their_pictures(folder: Path, tmp_path: Path) -> None:
    others = tmp_path / "others"
    others.mkdir()
    for number in range(5):
        (others / f"{number}.jpg").touch()
    one, two = (Place.FOLDER, folder), (Place.FOLDER, others)
    require_pairs(one, two)
    (others / "3.jpg").unlink()
    with pytest.raises(BadParams, match=r"others' lacks 1 .* '3'"):
        require_pairs(one, two)
