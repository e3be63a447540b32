"""Picture files to arrays, with limits: a file from elsewhere must not fill the memory."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from imgtool.errors import InputMissing, InputUnreadable

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from imgtool.fields import Field

MOST_PIXELS = 256 * 1024 * 1024 // 3
# What that many pixels take at 16 bits and four channels, unpacked.
MOST_BYTES = MOST_PIXELS * 8


def open_picture(path: Path) -> Image.Image:
    """A whole decoded picture, turned upright by its EXIF orientation.

    Raises
    ------
    InputMissing, InputUnreadable : no such file; truncated, corrupt, or too many pixels.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    data = _bytes_of(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(io.BytesIO(data))
            if picture.width * picture.height > MOST_PIXELS:
                raise InputUnreadable(
                    f"{str(path)!r} has {picture.width}×{picture.height} pixels, too many",
                    f"The limit is {MOST_PIXELS} pixels",
                )
            _check_one(picture, path)
            picture.load()
        return ImageOps.exif_transpose(picture)
    except InputUnreadable:
        raise
    except Image.DecompressionBombError:
        raise InputUnreadable(
            f"{str(path)!r} has too many pixels", f"The limit is {MOST_PIXELS} pixels"
        ) from None
    except UnidentifiedImageError:
        raise InputUnreadable(f"{str(path)!r} is no readable picture") from None
    except Exception as err:  # noqa: BLE001 - Pillow's readers raise many kinds for damaged bytes
        raise InputUnreadable(
            f"{str(path)!r} is no readable picture: {err}", "It may be truncated or of another kind"
        ) from None


def _check_one(picture: Image.Image, path: Path) -> None:
    # The further pictures of MPO, which cameras write as .jpg, are previews and depth.
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format != "MPO":
        raise InputUnreadable(
            f"{str(path)!r} holds {frames} pictures, as animations do",
            "Give one picture a file; ffmpeg and ImageMagick take them apart",
        )


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            too_long = path.stat().st_size > MOST_BYTES
            data = b"" if too_long else file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise InputMissing(f"no such file: {str(path)!r}") from None
    except OSError as err:
        raise InputUnreadable(f"cannot read {str(path)!r}: {err.strerror}") from err
    if too_long or len(data) > MOST_BYTES:
        raise InputUnreadable(
            f"{str(path)!r} is too long for a picture", f"The limit is {MOST_BYTES >> 20} MiB"
        )
    return data


def laid_on_white(picture: Image.Image) -> Image.Image:
    """The picture in RGB of 8 bits; deep greys are scaled, inks of a known profile converted.

    Raises
    ------
    InputUnreadable : it holds numbers that are none.
    """
    from PIL import Image

    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        over = picture.convert("RGBA")
        white = Image.new("RGBA", over.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, over)
    if picture.mode.startswith("I") or picture.mode == "F":
        return _of_deep_grey(picture).convert("RGB")
    if picture.mode == "CMYK" and picture.info.get("icc_profile"):
        return _of_inks(picture)
    return picture.convert("RGB")


def _of_deep_grey(picture: Image.Image) -> Image.Image:
    """8 bits of 16, or of floats: those up to 1 are shares of white, as most programs write."""
    import numpy as np
    from PIL import Image

    values = np.array(picture, dtype=np.float32)
    if not np.isfinite(values).all():
        raise InputUnreadable("the picture holds numbers that are no numbers (NaN or infinity)")
    if picture.mode.startswith("I"):
        values /= 257
    elif values.max(initial=0) <= 1:
        values *= 255
    return Image.fromarray((values.clip(0, 255) + 0.5).astype(np.uint8))


def _of_inks(picture: Image.Image) -> Image.Image:
    """sRGB of CMYK by its own profile, or by rule of thumb where that is damaged."""
    from PIL import ImageCms

    try:
        inks = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
        made = ImageCms.profileToProfile(
            picture, inks, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        made = None
    return picture.convert("RGB") if made is None else made


def read_map(path: Path, field: Field) -> tuple[Any, dict[str, str]]:
    """The array that a file holds for `field`, and the texts that it says belong to it.

    `.npy` and `.pfm` are taken as they are. Of pictures, `image` is RGB uint8; any other
    two-dimensional field is what the picture says its greys mean, else 0 to 1 float32.

    Raises
    ------
    InputUnreadable : the file holds something else.
    """
    import numpy as np

    from imgtool.pictures.maps import decode_png, read_pfm

    if path.suffix.lower() == ".npy":
        try:
            # Mapped, it takes no memory for what its header says and the file does not hold.
            array = np.load(path, allow_pickle=False, mmap_mode="r")
            if array.nbytes > MOST_BYTES:
                raise ValueError(f"{array.nbytes} bytes are too many")
        except Exception as err:  # noqa: BLE001 - NumPy's reader raises many kinds for such a header
            raise InputUnreadable(f"{str(path)!r} is no plain array: {err}") from None
        return _as_field(np.array(array), field, path), {}
    if path.suffix.lower() == ".pfm":
        return _as_field(read_pfm(path, _bytes_of(path)), field, path), {}
    if field.name == "image":
        from imgtool.pictures.photo import read_picture

        return read_picture(path), {}
    grey = open_picture(path)
    if (found := decode_png(grey, field.name)) is not None:
        return found
    deep = grey.mode.startswith("I") or grey.mode == "F"
    values = np.asarray(grey if deep else grey.convert("L"), dtype=np.float32)
    return values / (65535.0 if grey.mode.startswith("I") else 1.0 if deep else 255.0), {}


def _as_field(array: Any, field: Field, path: Path) -> Any:
    if field.dims and array.ndim != len(field.dims):
        raise InputUnreadable(
            f"{str(path)!r} has shape {array.shape}; {field.name} is {'×'.join(field.dims)}"
        )
    if not field.dtype:
        return array
    if array.dtype.kind not in "biuf":
        raise InputUnreadable(f"{str(path)!r} holds no numbers, but {array.dtype}")
    return array.astype(field.dtype)
