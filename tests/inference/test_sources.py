"""Which images inputs stand for, and how their results are called."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.errors import UserError
from pyramid_attention.images import read_whole
from pyramid_attention.inference.sources import find_images


def files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def named(*inputs: object, out: Path | None = None) -> dict[str, str]:
    return {item.name: Path(item.place).name for item in find_images([str(given) for given in inputs], out)}


def test_a_folder_gives_its_images_by_their_relative_paths(tmp_path):
    files(tmp_path, "b.JPG", "a.png", "deep/er/c.tif", ".hidden.png", ".git/d.png", "notes.txt")
    assert list(named(tmp_path)) == ["a", "b", "deep/er/c"]


def test_a_pattern_keeps_the_path_from_its_first_wildcard_on(tmp_path):
    files(tmp_path, "x/1/a.png", "x/2/a.png", "x/2/b.txt", "y/a.png")
    assert list(named(tmp_path / "x" / "*" / "*")) == ["1/a", "2/a"]
    assert list(named(tmp_path / "**" / "a.png")) == ["x/1/a", "x/2/a", "y/a"]
    files(tmp_path, "[1].png")
    assert list(named(tmp_path / "[1].png")) == ["[1]"]  # a file of that name, not a pattern


def test_a_file_is_taken_whatever_its_suffix_and_once_however_often_it_is_named(tmp_path):
    files(tmp_path, "x/a.dat", "b.png")
    assert list(named(tmp_path / "x" / "a.dat", tmp_path / "b.png", tmp_path, tmp_path / "x" / ".." / "b.png")) == [
        "a",
        "b",
    ]


def test_files_that_would_have_one_name_get_their_suffix_into_it(tmp_path):
    files(tmp_path, "a.jpg", "a.png", "b.png")
    assert named(tmp_path) == {"a_jpg": "a.jpg", "a_png": "a.png", "b": "b.png"}
    files(tmp_path, "other/b.png", "a_jpg.tif")
    with pytest.raises(UserError, match=r"results of .*a\.jpg and of .*a_jpg\.tif would have one name, a_jpg; predict"):
        find_images([tmp_path])
    with pytest.raises(UserError, match="would have one name, b_png"):
        find_images([tmp_path / "b.png", tmp_path / "other" / "b.png"])


def test_the_output_folder_inside_an_input_is_left_out(tmp_path):
    files(tmp_path, "a.png", "out/a.png")
    assert list(named(tmp_path, out=tmp_path / "out")) == ["a"]
    assert list(named(tmp_path)) == ["a", "out/a"]
    with pytest.raises(UserError, match="is both input and output folder"):
        find_images([tmp_path / "out"], tmp_path / "out")


def test_inputs_that_stand_for_nothing_fail_and_the_others_are_found(tmp_path):
    files(tmp_path, "a.png", "empty/notes.txt")
    missing, long = tmp_path / "none.png", tmp_path / ("x" * 300)
    source = find_images([missing, tmp_path / "a.png", tmp_path / "empty", str(tmp_path / "*.webp"), long])
    assert [item.name for item in source] == ["a"]
    assert source.count == 1
    expected = ["does not exist", "holds no images (.bmp", "no image matches", "File name too long; check the path"]
    assert [place for place, _ in source.failed] == [
        str(missing),
        str(tmp_path / "empty"),
        str(tmp_path / "*.webp"),
        str(long),
    ]
    assert all(words in reason for words, (_, reason) in zip(expected, source.failed, strict=True))
    with pytest.raises(UserError, match="does not exist"):
        find_images([missing])
    with pytest.raises(UserError, match="no image was named"):
        find_images([])


def test_reading_an_item_decodes_it_or_says_why_not(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    files(tmp_path, "b.png")
    source = find_images([tmp_path])
    good, bad = source
    np.testing.assert_array_equal(read_whole(source.read(good)), pixels)
    with pytest.raises(UserError, match=r"b\.png is not an image"):
        source.read(bad)
    with pytest.raises(UserError, match="above the limit of 19"):
        find_images([tmp_path], max_pixels=19).read(good)


def test_the_version_of_an_item_changes_with_its_file(tmp_path):
    files(tmp_path, "a.png", "b.png")
    before = {item.name: item.version for item in find_images([tmp_path])}
    (tmp_path / "a.png").write_bytes(b"new")
    after = {item.name: item.version for item in find_images([tmp_path])}
    assert before["a"] != after["a"]
    assert before["b"] == after["b"]
    os.utime(tmp_path / "b.png", ns=(5, 5))
    assert {item.name: item.version for item in find_images([tmp_path])}["b"] != after["b"]
