"""Decoding images and label maps, with limits, and writing them.

Every image that enters the program comes through `read_image` or `open_image`, every mask through `read_label_map`, so
what a grey, a 16-bit or a rotated image means is decided in one place (Pillow does the decoding).
"""

from __future__ import annotations

import ctypes
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError, _imaging

from ..classes import ClassTable
from ..errors import UserError
from ..files import whole_file
from .bands import RGB, Bands
from .windows import ArrayImage, ImageReader, PillowImage, read_whole

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm"})
MAX_PIXELS = 150_000_000
"""Images with more pixels are refused before they are decoded, unless the caller allows more."""
LARGE = 1 << 22
"""Images with more pixels (4 megapixels) stay as Pillow decodes them, and only windows of them become arrays."""
JPEG = ("JPEG", "MPO")
LEAST_JPEG = 8 * 64
"""Pixels a byte that no JPEG exceeds: a Huffman code takes a bit or more for each block of 8×8 pixels. libjpeg fills
what is missing of a scan with grey and says nothing. (Arithmetic coding, which no camera writes, may take less for an
image of one colour.)"""
MOST_DEFLATED = 1032
"""Bytes that come out of one of deflate's at most; a row of a PNG takes a byte and one bit or more a pixel."""
GREY = (127, 128)
"""The levels that coefficients of zero stand for: 128, and 127 where a CMYK image is stored inverted."""
END_OF_JPEG = b"\xff\xd9"
MORE_DATA = bytes(37 * number % 251 for number in range(250))
"""What could be pixels of a JPEG."""

SENT_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""What bytes from elsewhere may be: a file that the user names is opened by any decoder of Pillow's, one of which runs
other programs (EPS)."""

PathLike = str | os.PathLike[str]

logging.getLogger("PIL").addHandler(logging.NullHandler())  # or its warnings go to stderr, and name no file

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings an image upright, by its orientation in EXIF (2.32, tag 274); the last four swap its sides."""


class TooManyPixels(UserError):
    """An image is larger than allowed, or than memory."""


class NoImage(UserError):
    """A file is not an image in a known format."""


@contextmanager
def _opened(
    path: PathLike, decode: bool = True, max_pixels: int | None = None, content: bytes | None = None
) -> Iterator[Image.Image]:
    """Open an image file, or the `content` of one; all that can go wrong becomes a `UserError` naming the file."""
    if max_pixels is None:
        max_pixels = MAX_PIXELS
    elif Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels  # Pillow's own limit, which holds for the whole program
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")  # of large images and of faults in the metadata
            sent = None if content is None else BytesIO(content)
            with Image.open(path if sent is None else sent, formats=None if sent is None else SENT_FORMATS) as image:
                if image.width * image.height > max_pixels:
                    raise TooManyPixels(
                        f"{path} has {image.width}×{image.height} pixels, above the limit of {max_pixels:,}; scale it"
                        " down, or allow it where you trust the file, by max_pixels= of pan predict"
                    )
                size = os.stat(path).st_size if content is None else len(content)
                if image.format in JPEG and size * LEAST_JPEG < image.width * image.height:
                    raise UserError(
                        f"{path} is damaged: {size:,} bytes of JPEG cannot hold"
                        f" {image.width}×{image.height} pixels; replace or remove it"
                    )
                if image.format == "PNG" and size * MOST_DEFLATED < image.height * (1 + image.width / 8):
                    raise UserError(
                        f"{path} is damaged: {size:,} bytes of PNG cannot hold"
                        f" {image.width}×{image.height} pixels; replace or remove it"
                    )
                if image.format == "TIFF":
                    _silence_libtiff()
                if decode:
                    image.load()
                    if image.format == "JPEG" and _is_cut_off(image, path, content):
                        raise UserError(
                            f"{path} is damaged: its data end before the lower edge of the image; replace or remove it"
                        )
                yield image
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder where an image is expected") from None
    except PermissionError:
        raise UserError(f"no permission to read {path}") from None
    except UnidentifiedImageError:
        if _is_tiff(path, content):
            raise NoImage(
                f"{path} is a TIFF with bands or values that no RGB image has; use it as a raster, see docs/rasters.md"
            ) from None
        raise NoImage(f"{path} is not an image in a known format (or is empty); replace or remove it") from None
    except (Image.DecompressionBombError, MemoryError) as error:
        raise TooManyPixels(f"{path} is too large to be decoded ({error}); scale it down") from error
    except Exception as error:  # on a damaged file a decoder raises whatever it stumbles over (struct.error, TypeError)
        raise UserError(f"{path} is damaged and cannot be decoded ({error}); replace or remove it") from error


def _is_tiff(path: PathLike, content: bytes | None) -> bool:
    if content is None:
        with open(path, "rb") as file:
            content = file.read(4)
    return content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _is_cut_off(image: Image.Image, path: PathLike, content: bytes | None) -> bool:
    """Whether a JPEG that ends as it should has too few data: what is missing libjpeg fills with grey, and Pillow keeps
    its warning to itself.

    Data that are put before the end are drawn in place of that grey, and past a whole image they are passed over. Of a
    progressive JPEG that is cut off in a later scan, whose lower part is blurred, nothing is known.
    """
    last = image.crop((image.width - 1, image.height - 1, image.width, image.height))
    if not np.isin(np.asarray(last), GREY).all():
        return False
    data = Path(path).read_bytes() if content is None else content
    end = data.rfind(END_OF_JPEG)
    with Image.open(BytesIO(data[:end] + MORE_DATA + data[end:])) as longer:
        return bool((np.asarray(longer) != np.asarray(image)).any())


@cache
def _silence_libtiff() -> None:
    """Keep libtiff from writing to stderr, where it names no file; what matters of it Pillow raises."""
    with suppress(OSError, AttributeError):  # where libtiff is linked into Pillow, it cannot be reached
        pillow = ctypes.CDLL(_imaging.__file__)
        pillow.TIFFSetErrorHandler(None)
        pillow.TIFFSetWarningHandler(None)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata, in as many ways as above: the pixels are what counts
        return 1


def _upright(image: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def image_size(path: PathLike, content: bytes | None = None, max_pixels: int | None = None) -> tuple[int, int]:
    """Height and width as `read_image` would give them (EXIF rotation included), from the header where it says.

    Args:
        path: of the file, or the name of the bytes `content`, see `decode_image`.
        content: of a file from elsewhere.
        max_pixels: see `read_image`.

    Raises:
        UserError: if the file is no image, or too large.
    """
    with _opened(path, decode=False, max_pixels=max_pixels, content=content) as image:
        if image.format == "TIFF":
            image.load()  # Pillow itself turns a TIFF upright while loading it
        swapped = _orientation(image) in (5, 6, 7, 8)
        return (image.width, image.height) if swapped else (image.height, image.width)


def count_pages(path: PathLike) -> int:
    """How many pages of the size of the first an image file holds: more than one for a stack or an animation.

    Raises:
        UserError: see `image_size`.
    """
    with _opened(path, decode=False) as image:
        size, pages = image.size, getattr(image, "n_frames", 1)
        if pages > 1:
            image.seek(1)  # a TIFF may hold smaller copies of its image
        return pages if image.size == size else 1


def pixel_type(path: PathLike) -> str:
    """Pillow's name of what a pixel is, from the header: "RGB", "P" for indexed, "L" for grey, ….

    Raises:
        UserError: if the file is no image, or too large.
    """
    with _opened(path, decode=False) as image:
        return image.mode


def _reader(image: Image.Image, path: PathLike) -> ImageReader:
    """What `read_image` says of the kinds of pixels; decoded and upright."""
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise UserError(f"{path} has 32-bit values outside 0 to 65535; save it with 8 or 16 bits a channel")
        grey = ((values + 128) // 257).astype(np.uint8)  # 65535 = 257 × 255: rounds to the nearest, never stretches
        return ArrayImage(np.repeat(grey[:, :, None], 3, axis=2))
    if image.mode == "F":
        raise UserError(f"{path} holds floating-point values of unknown range; save it with 8 or 16 bits a channel")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow's advice: a palette with transparency goes through RGBA
    if image.mode != "RGB":
        image = image.convert("RGB")
    return PillowImage(image) if image.width * image.height > LARGE else ArrayImage(np.array(image))


def open_image(path: PathLike, max_pixels: int | None = None) -> ImageReader:
    """Decode an image as `read_image` does; a large one does not become an array as a whole.

    Raises:
        UserError: as `read_image`.
    """
    with _opened(path, max_pixels=max_pixels) as image:
        return _reader(_upright(image), path)


def read_image(path: PathLike, max_pixels: int | None = None) -> NDArray[np.uint8]:
    """Read an image as H×W×3 uint8 RGB, upright (EXIF rotation applied).

    Grey is repeated over the channels; 16-bit grey is divided by 257 (65535 → 255) and never stretched (16-bit colour
    is reduced by Pillow to its high byte, which differs by at most one level); an alpha channel is dropped; palette and
    CMYK are converted. Of an animation the first frame counts.

    Args:
        path: of the file.
        max_pixels: images with more are refused before they are decoded, since a file of some kilobytes can be one of
            gigabytes; `MAX_PIXELS` by default.

    Raises:
        UserError: the file is missing, truncated, no image, too large, or of floating-point values.
    """
    return read_whole(open_image(path, max_pixels))


def decode_image(content: bytes, name: str, max_pixels: int | None = None) -> NDArray[np.uint8]:
    """Decode the bytes of an image file from elsewhere, as `read_image` would, if its format is in `SENT_FORMATS`.

    Args:
        content: of the file.
        name: what messages call it.
        max_pixels: see `read_image`.

    Raises:
        NoImage: no image, or in another format.
        TooManyPixels: too large.
        UserError: damaged, or of floating-point values.
    """
    with _opened(name, max_pixels=max_pixels, content=content) as image:
        return read_whole(_reader(_upright(image), name))


def to_image_array(image: NDArray[np.generic] | Image.Image, bands: Bands = RGB) -> NDArray[Any]:
    """An image in memory as an array H×W×B: of `bands`, or for RGB as `read_image` would give it.

    Args:
        image: an array; for RGB also H×W (grey), or Pillow's.
        bands: what it is to have.

    Raises:
        UserError: another shape or type, or a side of zero pixels.
    """
    if isinstance(image, Image.Image):
        return read_whole(as_reader(image))
    array = np.asarray(image)
    if array.ndim == 2 and len(bands) in (1, 3):
        array = np.repeat(array[:, :, None], len(bands), axis=2)
    if array.dtype != bands.dtype or array.ndim != 3 or array.shape[2] != len(bands) or 0 in array.shape:
        raise UserError(
            f"an image in memory is H×W×{len(bands)} {bands.dtype} ({', '.join(bands.names)}), not {array.dtype} of"
            f" shape {array.shape}"
        )
    return array


def as_reader(image: NDArray[np.generic] | Image.Image | ImageReader, bands: Bands = RGB) -> ImageReader:
    """An image in memory, Pillow's or an array, as an `ImageReader`; one that is a reader already stays as it is.

    Raises:
        UserError: as `to_image_array`, or a reader of other bands.
    """
    if isinstance(image, Image.Image):
        image = _reader(_upright(image), "the given image")
    if isinstance(image, ImageReader):
        bands.refuse_others(image.read((0, 1), (0, 1)))
        return image
    return ArrayImage(to_image_array(image, bands))


def read_label_map(path: PathLike) -> NDArray[np.uint8] | NDArray[np.int32]:
    """Read a mask of class ids: indexed, grey of 8 or 16 bits, black-and-white, or grey saved as RGB.

    H×W uint8 where the file has 8 bits a pixel or fewer, int32 otherwise.

    Raises:
        UserError: as `read_image`, and on a mask that holds colours instead of ids, or is a JPEG.
    """
    with _opened(path) as image:
        lossy = image.format in JPEG
        if image.mode in ("RGB", "RGBA"):
            rgb = np.asarray(image.convert("RGB"))
            if (rgb != rgb[:, :, :1]).any():
                raise UserError(
                    f"{path} is a colour image where a mask of class ids is expected; save the mask with one number"
                    " per pixel (indexed or grey PNG)"
                )
            if lossy:
                raise _no_ids(path)
            return rgb[:, :, 0].copy()
        if image.mode not in ("P", "L", "LA", "1", "I", "I;16", "I;16L", "I;16B", "I;16N"):
            raise UserError(f"{path} has pixels of type {image.mode}; a mask is an indexed or grey PNG of class ids")
        if lossy:
            raise _no_ids(path)
        if image.mode == "LA":
            return np.array(image.getchannel("L"))
        narrow = image.mode in ("P", "L", "1")
        return np.array(image, np.uint8) if narrow else np.array(image, np.int32)


class MaskValues(NamedTuple):
    """The pixels of a mask as its file stores them.

    Attributes:
        pixels: H×W, uint8 or int32, or H×W×3 uint8 where they are colours that are not all grey.
        palette: K×3 uint8, the colour of each value of an indexed file; None for others.
        lossy: whether the file is a JPEG, whose values are near those that were saved, no more.
    """

    pixels: NDArray[np.uint8] | NDArray[np.int32]
    palette: NDArray[np.uint8] | None = None
    lossy: bool = False


def read_mask_values(path: PathLike, content: bytes | None = None) -> MaskValues:
    """Read a mask of any kind of image, whatever its values may mean; an alpha channel is dropped.

    Args:
        path: of the file, or the name of the bytes `content`, see `decode_image`.
        content: of a file from elsewhere.

    Raises:
        UserError: as `read_image`, and on floating-point values that are no whole numbers.
    """
    with _opened(path, content=content) as image:
        lossy = image.format in ("JPEG", "MPO")
        if image.mode == "P":
            palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
            return MaskValues(np.array(image, np.uint8), palette, lossy)
        if image.mode == "F":
            values = np.asarray(image)
            if not (values == np.rint(values)).all():
                raise UserError(f"{path} holds fractions where class ids are expected; write whole numbers")
            return MaskValues(values.astype(np.int32))
        if image.mode.startswith("I"):
            return MaskValues(np.array(image, np.int32))
        if image.mode in ("L", "LA", "1"):
            grey = np.asarray(image.getchannel(0) if image.mode == "LA" else image)
            return MaskValues(grey.astype(np.uint8) * (255 if image.mode == "1" else 1), None, lossy)
        colours = np.asarray(image.convert("RGB"))
        grey_only = bool((colours == colours[:, :, :1]).all())
        return MaskValues(colours[:, :, 0].copy() if grey_only else colours, None, lossy)


def _no_ids(path: PathLike) -> UserError:
    """What is said of a JPEG: ids next to one another become others, which may well be classes too."""
    return UserError(f"{path} is a JPEG, whose compression changes the ids of a mask; save the masks as PNG")


def write_label_map(path: PathLike, labels: NDArray[np.uint8], classes: ClassTable) -> None:
    """Write a label map (H×W uint8) as an indexed PNG with the classes' palette, whole or not at all."""
    with whole_file(Path(path)) as temporary:
        temporary.write_bytes(encode_label_map(labels, classes))


def encode_label_map(labels: NDArray[np.uint8], classes: ClassTable) -> bytes:
    """A label map (H×W uint8) as the bytes of an indexed PNG with the classes' palette."""
    image = Image.fromarray(labels)
    image.putpalette(classes.palette().tobytes())
    return encode_image(image, "PNG", compress_level=4)  # a seventh of the time of 6, for a fifth more bytes


def encode_image(pixels: NDArray[np.uint8] | Image.Image, format: str, **options: Any) -> bytes:
    """An image (H×W or H×W×3 uint8, or Pillow's) as the bytes of a file; `format` and `options` are Pillow's."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    data = BytesIO()
    image.save(data, format, **options)
    return data.getvalue()


def write_image(path: PathLike, pixels: NDArray[np.uint8] | Image.Image) -> None:
    """Write an image (H×W or H×W×3 uint8, or Pillow's) in the format of the path's suffix, whole or not at all."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    with whole_file(Path(path)) as temporary:
        image.save(temporary)
