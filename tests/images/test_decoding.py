"""What a file of pixels becomes: each kind of image and mask against the values that were put into it."""

from __future__ import annotations

import struct
import subprocess
import sys
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import UserError
from pyramid_attention.images import (
    ArrayImage,
    PillowImage,
    as_reader,
    decode,
    decode_image,
    image_size,
    open_image,
    pixel_type,
    read_image,
    read_label_map,
    to_image_array,
    windows,
    write_image,
    write_label_map,
)

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (7, 5, 3), dtype=np.uint8)
GREY = RANDOM.integers(0, 256, (7, 5), dtype=np.uint8)
DEEP = np.concatenate([[0, 127, 128, 129, 256, 257, 385, 386, 32767, 65535], RANDOM.integers(0, 65536, 25)])
DEEP = DEEP.reshape(7, 5).astype(np.uint16)


def grey_of(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[:, :, None], 3, axis=2)


def write_png16(path: Path, values: np.ndarray) -> None:
    """A PNG of 16 bits a channel, H×W or H×W×3, byte by byte (Pillow cannot write the latter; PNG, section 5)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 0 if values.ndim == 2 else 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b""))


@pytest.mark.parametrize("suffix", sorted(decode.IMAGE_SUFFIXES - {".jpg", ".jpeg", ".webp", ".gif", ".pgm"}))
def test_colour_is_kept_to_the_value_in_every_lossless_format(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(COLOUR).save(path)
    image = read_image(path)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, COLOUR)


def test_webp_without_loss_keeps_its_values(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.webp", lossless=True)
    np.testing.assert_array_equal(read_image(tmp_path / "a.webp"), COLOUR)


def test_a_jpeg_is_what_pillow_decodes(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(str(tmp_path / "a.jpg")), np.array(Image.open(tmp_path / "a.jpg")))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".pgm"])
def test_grey_is_repeated_over_the_channels(tmp_path, suffix):
    Image.fromarray(GREY).save(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), grey_of(GREY))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_16_bit_grey_is_divided_by_257_and_rounded(tmp_path, suffix):
    Image.fromarray(DEEP).save(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), grey_of(np.rint(DEEP / 257).astype(np.uint8)))


def test_a_dark_16_bit_image_stays_dark(tmp_path):
    Image.fromarray(DEEP % 1024).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").max() == np.rint((DEEP % 1024).max() / 257) <= 4


def test_all_65536_grey_values_are_rounded_to_the_nearest(tmp_path):
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(every).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[:, :, 0], np.rint(every / 257))


def test_16_bit_colour_is_within_one_level_of_its_value_by_257(tmp_path):
    deep = RANDOM.integers(0, 65536, (7, 5, 3)).astype(np.uint16)
    deep[0, 0], deep[0, 1] = 0, 65535
    write_png16(tmp_path / "a.png", deep)
    image = read_image(tmp_path / "a.png")
    assert np.abs(image - deep / 257).max() <= 1
    assert image[0, :2].tolist() == [[0, 0, 0], [255, 255, 255]]


def test_32_bit_integers_are_read_as_16_bit_where_they_are(tmp_path):
    Image.fromarray(DEEP.astype(np.int32)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), grey_of(np.rint(DEEP / 257).astype(np.uint8)))
    Image.fromarray(DEEP.astype(np.int32) + 1).save(tmp_path / "large.tif")
    with pytest.raises(UserError, match=r"large\.tif has 32-bit values outside 0 to 65535; save it"):
        read_image(tmp_path / "large.tif")


def test_an_alpha_channel_is_dropped_and_the_colours_below_it_kept(tmp_path):
    alpha = RANDOM.integers(0, 256, (7, 5, 1), dtype=np.uint8)
    Image.fromarray(np.concatenate([COLOUR, alpha], axis=2)).save(tmp_path / "rgba.png")
    Image.fromarray(np.concatenate([GREY[:, :, None], alpha], axis=2)).save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png"), COLOUR)
    np.testing.assert_array_equal(read_image(tmp_path / "la.png"), grey_of(GREY))


@pytest.mark.parametrize("options", [{}, {"transparency": 2}, {"transparency": bytes([0, 100, 255])}])
def test_a_palette_is_looked_up_with_and_without_transparency(tmp_path, options):
    palette = RANDOM.integers(0, 256, (256, 3), dtype=np.uint8)
    image = Image.fromarray(GREY)
    image.putpalette(palette.tobytes())
    image.save(tmp_path / "a.png", **options)
    assert Image.open(tmp_path / "a.png").mode == "P"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), palette[GREY])


def test_cmyk_is_converted_as_pillow_does(tmp_path):
    Image.new("CMYK", (5, 7), (255, 0, 0, 0)).save(tmp_path / "a.jpg", quality=100)
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == (7, 5, 3)
    assert np.abs(image - np.array([0.0, 255, 255])).max() <= 2  # cyan


def test_one_bit_is_black_and_white(tmp_path):
    Image.fromarray(GREY > 127).save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "1"
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), grey_of(np.uint8(255) * (GREY > 127)))


def test_of_an_animation_the_first_frame_counts(tmp_path):
    frames = [Image.new("RGB", (6, 4), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif"), np.full((4, 6, 3), (255, 0, 0)))


UPRIGHT = {  # how the stored image becomes the upright one (EXIF 2.32, tag 274)
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg"])
def test_an_image_is_turned_upright_as_exif_says(tmp_path, suffix, orientation):
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(COLOUR).save(path, exif=exif, **({"lossless": True} if suffix == ".webp" else {}))
    stored = COLOUR
    if suffix == ".jpg":
        Image.fromarray(COLOUR).save(tmp_path / "plain.jpg")
        stored = np.array(Image.open(tmp_path / "plain.jpg"))
    upright = UPRIGHT[orientation](stored)
    np.testing.assert_array_equal(read_image(path), upright)
    assert image_size(path) == upright.shape[:2]
    if suffix != ".tif":  # Pillow turns a TIFF on its own
        np.testing.assert_array_equal(to_image_array(Image.open(path)), upright)


def test_an_image_with_damaged_exif_is_read_as_it_is_stored(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.webp", lossless=True, exif=b"Exif\0\0no header at all")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_image(tmp_path / "a.webp"), COLOUR)
    assert image_size(tmp_path / "a.webp") == (7, 5)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (300, 2)])
def test_image_size_is_the_shape_that_read_image_gives(tmp_path, mode, size):
    Image.new(mode, size[::-1]).save(tmp_path / "a.png")
    assert image_size(tmp_path / "a.png") == read_image(tmp_path / "a.png").shape[:2] == size


def _truncated_jpeg(path):
    Image.fromarray(np.tile(COLOUR, (20, 20, 1))).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:-600])


def _float_tiff(path):
    Image.fromarray(GREY.astype(np.float32)).save(path, "TIFF")


def _float_tiff_of_two_bands(path):
    entries = ((256, 2), (257, 1), (258, 32), (259, 1), (262, 1), (273, 134), (277, 2), (278, 1), (279, 16), (339, 3))
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    path.write_bytes(head + b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in entries) + bytes(20))


BAD = {
    "cut.jpg": (_truncated_jpeg, "is damaged and cannot be decoded .*truncated.*; replace or remove it"),
    "text.jpg": (lambda path: path.write_text("no image"), "is not an image in a known format"),
    "empty.png": (lambda path: path.touch(), "is not an image in a known format \\(or is empty\\)"),
    "head.png": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0"), "is (damaged|not an image)"),
    "folder.png": (lambda path: path.mkdir(), "is a folder where an image is expected"),
    "missing.png": (lambda path: None, "does not exist; check the path"),
    "bands.tif": (_float_tiff_of_two_bands, "is a TIFF with bands or values that no RGB image has; use it as a raster"),
    "float.tif": (_float_tiff, "floating-point values of unknown range; save it with 8 or 16 bits"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_told_in_one_line_with_its_name(tmp_path, name):
    make, message = BAD[name]
    make(tmp_path / name)
    with pytest.raises(UserError, match=f"{name} .*{message}|{name} {message}") as error:
        read_image(tmp_path / name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("mode", "type_"), [("RGB", "RGB"), ("P", "P"), ("L", "L"), ("1", "1"), ("RGBA", "RGBA")])
def test_the_type_of_a_pixel_is_that_of_the_header(tmp_path, mode, type_):
    Image.fromarray(COLOUR).convert(mode).save(tmp_path / "a.png")
    assert pixel_type(tmp_path / "a.png") == type_


@pytest.mark.parametrize("name", ["text.jpg", "empty.png", "folder.png", "missing.png"])
def test_image_size_tells_of_a_bad_file_as_read_image_does(tmp_path, name):
    make, message = BAD[name]
    make(tmp_path / name)
    with pytest.raises(UserError, match=message):
        image_size(tmp_path / name)
    with pytest.raises(UserError, match=message):
        read_label_map(tmp_path / name)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".gif", ".bmp"])
def test_a_damaged_file_is_read_or_refused_but_never_breaks_the_program(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(COLOUR).save(tmp_path / f"a{suffix}", **({"exif": exif} if suffix in (".jpg", ".webp") else {}))
    whole = np.frombuffer((tmp_path / f"a{suffix}").read_bytes(), dtype=np.uint8)
    random = np.random.default_rng(1)
    for _ in range(60):
        broken = whole.copy()
        broken[random.integers(0, min(len(whole), 200), 3)] = random.integers(0, 256, 3)
        (tmp_path / f"b{suffix}").write_bytes(broken.tobytes())
        for read in (read_image, image_size, read_label_map):
            failure = None
            try:
                read(tmp_path / f"b{suffix}")
            except UserError as error:
                failure = str(error)
            assert failure is None or f"b{suffix}" in failure


@pytest.mark.parametrize("read", [read_image, image_size, read_label_map])
def test_an_image_above_the_limit_is_refused_before_it_is_decoded(tmp_path, monkeypatch, read):
    Image.new("L", (5, 7)).save(tmp_path / "a.png")
    read(tmp_path / "a.png")
    monkeypatch.setattr(decode, "MAX_PIXELS", 34)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(UserError, match=r"a\.png has 5×7 pixels, above the limit of 34; scale it down"):
        read(tmp_path / "a.png")


def test_pillows_own_limit_and_a_lack_of_memory_are_told_alike(tmp_path, monkeypatch):
    Image.new("L", (5, 7)).save(tmp_path / "a.png")
    with monkeypatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        with pytest.raises(UserError, match=r"a\.png is too large to be decoded .*; scale it down"):
            read_image(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "convert", lambda self, mode: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(UserError, match=r"a\.png is too large to be decoded"):
        read_image(tmp_path / "a.png")


def test_a_file_without_permission_is_told(tmp_path, monkeypatch):
    def refuse(path, formats=None):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(UserError, match=r"no permission to read .*a\.png"):
        read_image(tmp_path / "a.png")


def test_an_image_in_memory_is_an_array_or_pillows():
    assert to_image_array(COLOUR) is COLOUR
    np.testing.assert_array_equal(to_image_array(GREY), grey_of(GREY))
    np.testing.assert_array_equal(to_image_array(Image.fromarray(COLOUR).convert("RGBA")), COLOUR)
    for bad in (COLOUR / 255.0, COLOUR[None], COLOUR[:, :, :2], COLOUR[:0], GREY.astype(np.int64)):
        with pytest.raises(UserError, match="an image in memory is H×W×3 uint8"):
            to_image_array(bad)


CLASSES = ClassTable.of(["a", "b", "c"], [(10, 20, 30), (0, 255, 0), (1, 2, 3)])


def test_a_label_map_comes_back_with_its_ids_and_its_palette(tmp_path):
    labels = RANDOM.choice(np.array([0, 1, 2, 255], dtype=np.uint8), (9, 4))
    write_label_map(tmp_path / "a.png", labels, CLASSES)
    written = Image.open(tmp_path / "a.png")
    assert (written.mode, written.size) == ("P", (4, 9))
    assert bytes(written.getpalette()) == CLASSES.palette().tobytes()
    read = read_label_map(tmp_path / "a.png")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, labels)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), CLASSES.colourise(labels))


def test_every_kind_of_mask_gives_the_ids_that_were_put_into_it(tmp_path):
    for name, image in {
        "grey": Image.fromarray(GREY),
        "deep": Image.fromarray(DEEP),
        "rgb": Image.fromarray(grey_of(GREY)),
        "rgba": Image.fromarray(grey_of(GREY)).convert("RGBA"),
    }.items():
        image.save(tmp_path / f"{name}.png")
        expected = DEEP if name == "deep" else GREY
        np.testing.assert_array_equal(read_label_map(tmp_path / f"{name}.png"), expected)
    Image.fromarray(GREY > 127).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "bits.png"), GREY > 127)


def test_colours_where_ids_are_expected_are_refused(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png is a colour image where a mask of class ids is expected; save"):
        read_label_map(tmp_path / "a.png")
    Image.fromarray(GREY.astype(np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=r"a\.tif has pixels of type F; a mask is an indexed or grey PNG"):
        read_label_map(tmp_path / "a.tif")


def test_an_image_is_written_in_the_format_of_its_suffix(tmp_path):
    for name, image in {"a.png": COLOUR, "b.png": GREY, "c.bmp": Image.fromarray(COLOUR)}.items():
        write_image(tmp_path / name, image)
        np.testing.assert_array_equal(np.array(Image.open(tmp_path / name)), np.asarray(image))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "c.bmp"]
    with pytest.raises(UserError, match="cannot write"):
        write_image(tmp_path / "no" / "a.png", COLOUR)


@pytest.mark.parametrize("size", [(7, 5), (60, 41)])
def test_windows_of_a_large_image_are_those_of_the_array_it_would_be(tmp_path, monkeypatch, size):
    pixels = RANDOM.integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    monkeypatch.setattr(decode, "LARGE", 34)
    monkeypatch.setattr(windows, "BAND", 100)
    large, small = open_image(tmp_path / "a.png"), ArrayImage(pixels)
    assert isinstance(large, PillowImage)
    for image in (large, small):
        assert (image.height, image.width) == size
        np.testing.assert_array_equal(image.read((2, 7), (1, 4)), pixels[2:7, 1:4])
        expected = np.asarray(Image.fromarray(pixels).resize((3, 9), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(image.resized(9, 3), expected)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels)
    assert as_reader(large) is large


def test_a_large_image_takes_no_second_copy_of_its_pixels_to_become_an_array(tmp_path):
    Image.new("RGB", (3000, 4000)).save(tmp_path / "a.png")
    tracemalloc.start()
    pixels = read_image(tmp_path / "a.png")
    peak = tracemalloc.get_traced_memory()[1]  # of Python and NumPy, not Pillow's own 4 bytes a pixel
    tracemalloc.stop()
    assert peak < 1.9 * pixels.nbytes


def test_a_jpeg_too_short_for_its_size_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    Image.fromarray(np.tile(COLOUR, (12, 12, 1))).save(tmp_path / "a.jpg")
    content = bytearray((tmp_path / "a.jpg").read_bytes())
    frame = content.index(b"\xff\xc0")  # the frame's header: length, bits, height, width (ITU-T T.81, B.2.2)
    content[frame + 5 : frame + 9] = struct.pack(">HH", 12000, 12000)
    (tmp_path / "a.jpg").write_bytes(content)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    message = f"a.jpg is damaged: {len(content):,} bytes of JPEG cannot hold 12000×12000 pixels; replace or remove it"
    for read in (read_image, image_size, read_label_map):
        with pytest.raises(UserError, match=message):
            read(tmp_path / "a.jpg")


@pytest.mark.parametrize("size", [(1, 140_000_000), (12000, 12000)])
def test_a_png_too_short_for_its_size_is_refused_before_it_is_decoded(tmp_path, monkeypatch, size):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[16:24] = struct.pack(">II", *size)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "a.png").write_bytes(content)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(UserError, match=f"a.png is damaged: .* bytes of PNG cannot hold {size[0]}×{size[1]} pixels"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
@pytest.mark.parametrize("size", [(4000, 4000), (1, 100_000), (1, 1)])
def test_the_smallest_of_pngs_are_read(tmp_path, mode, size):
    Image.new(mode, size).save(tmp_path / "a.png", optimize=True)
    assert not read_image(tmp_path / "a.png").any()


@pytest.mark.parametrize("missing", [300, 1500])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_whose_data_are_cut_off_is_refused_though_it_ends_as_it_should(tmp_path, mode, missing):
    Image.fromarray(np.tile(COLOUR, (12, 12, 1))).convert(mode).save(tmp_path / "a.jpg")
    read_image(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: -2 - missing].rstrip(b"\xff") + b"\xff\xd9")
    for read in (read_image, lambda path: decode_image(path.read_bytes(), path)):
        with pytest.raises(UserError, match=r"a.jpg is damaged: its data end before the lower edge of the image"):
            read(tmp_path / "a.jpg")


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("size", [(3, 5), (64, 48)])
def test_a_jpeg_that_is_grey_at_its_end_is_read(tmp_path, mode, size):
    Image.new(mode, size, (128,) * len(Image.new(mode, (1, 1)).getbands())).save(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg").shape == (*size[::-1], 3)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_the_smallest_of_jpegs_are_read(tmp_path, progressive, mode):
    """One colour, optimised Huffman tables, the coarsest quality: no encoder takes fewer bits."""
    Image.new(mode, (2000, 2000)).save(tmp_path / "a.jpg", quality=1, optimize=True, progressive=progressive)
    assert (read_image(tmp_path / "a.jpg") <= 1).all()


def test_what_libtiff_complains_of_does_not_reach_stderr(tmp_path, capfd):
    Image.fromarray(COLOUR).save(tmp_path / "a.tif", compression="tiff_lzw")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    tags = struct.unpack_from("<I", content, 4)[0]
    for index in range(struct.unpack_from("<H", content, tags)[0]):
        place = tags + 2 + 12 * index
        if struct.unpack_from("<H", content, place)[0] in (256, 257, 278):  # width, height, rows a strip
            struct.pack_into("<HIHH", content, place + 2, 3, 1, 500, 0)
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.tif is damaged"):
        read_image(tmp_path / "a.tif")
    assert capfd.readouterr().err == ""


def test_what_pillow_logs_of_a_tiff_does_not_reach_stderr(tmp_path):
    """In a process of its own: here, pytest takes the logs."""
    Image.fromarray(COLOUR).save(tmp_path / "a.tif")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    tags = struct.unpack_from("<I", content, 4)[0]
    for index in range(struct.unpack_from("<H", content, tags)[0]):
        place = tags + 2 + 12 * index
        if struct.unpack_from("<H", content, place)[0] == 277:  # samples a pixel
            struct.pack_into("<H", content, place + 8, 53)
    (tmp_path / "a.tif").write_bytes(content)
    code = f"""
from pyramid_attention.errors import UserError
from pyramid_attention.images import read_image
try:
    read_image({str(tmp_path / "a.tif")!r})
except UserError as error:
    print(error)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "a.tif is" in ended.stdout
    assert ended.stderr == ""
