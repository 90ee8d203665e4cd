"""Shards: the samples of a folder, byte for byte, with an index and without one, and as the library reads them."""

from __future__ import annotations

import tarfile

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.cli import main
from pyramid_attention.data import open_dataset
from pyramid_attention.data.shards import convert_to_shards
from pyramid_attention.errors import UserError


@pytest.fixture
def folder(tmp_path):
    draw = np.random.default_rng(0)
    for split, count in (("train", 7), ("val", 3)):
        for index in range(count):
            name = f"deep/{index:02}.x" if index % 2 else f"{index:02}"
            for kind, high, suffix in (("images", 256, "jpg"), ("masks", 3, "png")):
                path = tmp_path / "in" / kind / split / f"{name}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                shape = (8, 9, 3) if kind == "images" else (8, 9)
                Image.fromarray(draw.integers(0, high, shape, dtype=np.uint8)).save(path)
    (tmp_path / "in" / "dataset.yaml").write_text("names: [a, b, c]\ncolours: [[0, 0, 0], [9, 9, 9], [8, 8, 8]]\n")
    return tmp_path / "in"


def check(dataset, folder) -> None:
    plain = open_dataset(folder)
    assert dataset.format == "webdataset"
    assert (dataset.classes.names, dataset.splits.keys()) == (plain.classes.names, plain.splits.keys())
    for split, samples in plain.splits.items():
        assert [one.name for one in dataset.splits[split]] == [one.name.replace(".", "_") for one in samples]
        for one, other in zip(dataset.splits[split], samples, strict=True):
            np.testing.assert_array_equal(one.read_image(), other.read_image())
            np.testing.assert_array_equal(one.read_mask(), other.read_mask())


@pytest.mark.parametrize("indexed", [True, False])
def test_shards_hold_the_samples_of_the_folder_in_their_order(folder, tmp_path, indexed):
    out = tmp_path / "out"
    assert convert_to_shards(open_dataset(folder), out, per_shard=3).done == {"train": 7, "val": 3}
    assert sorted(path.name for path in out.glob("*.tar")) == [
        "train-000000.tar",
        "train-000001.tar",
        "train-000002.tar",
        "val-000000.tar",
    ]
    if not indexed:
        (out / "index.json").unlink()
    check(open_dataset(out), folder)


def test_a_conversion_that_was_killed_is_finished_by_the_same_one(folder, tmp_path):
    assert main(["data", "convert", str(folder), str(tmp_path / "out"), "--shards"]) == 0
    content = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("[!.]*")}
    (tmp_path / "out" / "index.json").unlink()
    (tmp_path / "out" / "val-000000.tar").unlink()
    kept = (tmp_path / "out" / "train-000000.tar").stat().st_mtime_ns
    assert main(["data", "convert", str(folder), str(tmp_path / "out"), "--shards"]) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("[!.]*")} == content
    assert (tmp_path / "out" / "train-000000.tar").stat().st_mtime_ns == kept
    assert main(["data", "convert", str(folder), str(tmp_path / "out")]) == 2  # as files: another conversion


def test_the_library_reads_the_same_from_them(folder, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    convert_to_shards(open_dataset(folder), tmp_path / "out")
    read = list(webdataset.WebDataset(str(tmp_path / "out" / "train-000000.tar"), shardshuffle=False))
    samples = open_dataset(tmp_path / "out").splits["train"]
    assert [one["__key__"] for one in read] == [one.name for one in samples]
    assert all(one["jpg"] == sample.image.content() for one, sample in zip(read, samples, strict=True))
    assert all(one["mask.png"] == sample.mask.content() for one, sample in zip(read, samples, strict=True))


def test_a_shard_that_is_cut_off_is_said_by_the_name_of_what_is_lost(folder, tmp_path):
    convert_to_shards(open_dataset(folder), tmp_path / "out")
    shard = tmp_path / "out" / "val-000000.tar"
    with tarfile.open(shard) as archive:
        last = archive.getmembers()[-1]
    shard.write_bytes(shard.read_bytes()[: last.offset_data + 5])
    with pytest.raises(UserError, match=rf"val-000000\.tar is cut off before the end of {last.name}; get it again"):
        open_dataset(tmp_path / "out").splits["val"][-1].read_mask()
