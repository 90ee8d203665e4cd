"""Folders at full speed: what goes through the network together, and that nothing is lost or held."""

from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.artifacts import ModelInfo
from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import UserError
from pyramid_attention.inference import Segmenter, predict
from pyramid_attention.inference.predict import predict_files, predict_sources
from pyramid_attention.inference.sources import find_sources


class Brightness:
    """Two classes: dark and bright. Scores at the images' own size; remembers the shapes it was given."""

    info = ModelInfo(classes=ClassTable.of(["dark", "bright"]))
    device = "cpu"
    largest = 99

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, images):
        if len(images) > self.largest:
            raise UserError("out of memory")
        self.seen.append(images.shape[:3])
        bright = images[..., 0].astype(np.float32) - 127.5
        return np.stack([-bright, bright], axis=1)


def images(folder: Path, sizes) -> Path:
    folder.mkdir()
    for index, (height, width) in enumerate(sizes):
        image = np.zeros((height, width, 3), np.uint8)
        image[:, : 1 + index % width] = 255
        Image.fromarray(image).save(folder / f"{index:03}.png")
    return folder


def check(out: Path, sizes) -> None:
    for index, (height, width) in enumerate(sizes):
        labels = np.array(Image.open(out / f"{index:03}.png"))
        expected = np.zeros((height, width))
        expected[:, : 1 + index % width] = 1
        np.testing.assert_array_equal(labels, expected)


def test_neighbours_of_one_size_go_together_up_to_a_number_of_pixels(tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "GROUP_PIXELS", 3 * 40 * 50)
    sizes = [(40, 50)] * 4 + [(50, 40)] + [(40, 50)] * 2 + [(200, 300)] * 2
    folder, engine = images(tmp_path / "in", sizes), Brightness()
    summary = predict_files(Segmenter(engine), [folder], tmp_path / "out")
    assert [shape[0] for shape in engine.seen] == [3, 1, 1, 2, 1, 1]
    assert [path.stem for path in summary.done] == [f"{index:03}" for index in range(len(sizes))]
    check(tmp_path / "out", sizes)


def test_tiled_images_go_alone(tmp_path):
    sizes = [(100, 100)] * 2 + [(100, 300)] * 2
    folder, engine = images(tmp_path / "in", sizes), Brightness()
    predict_files(Segmenter(engine, tile=128), [folder], tmp_path / "out")
    assert engine.seen[0] == (2, 100, 100)
    assert {count for count, *_ in engine.seen[1:]} == {1}
    check(tmp_path / "out", sizes)


def test_where_memory_does_not_hold_them_together_they_go_one_by_one(tmp_path):
    sizes = [(40, 50)] * 3
    folder, engine = images(tmp_path / "in", sizes), Brightness()
    engine.largest = 1
    predict_files(Segmenter(engine), [folder], tmp_path / "out").check()
    assert [shape[0] for shape in engine.seen] == [1, 1, 1]
    check(tmp_path / "out", sizes)


def test_broken_ones_among_them_are_told_and_every_one_is_counted(tmp_path):
    sizes = [(40, 50)] * 5
    folder = images(tmp_path / "in", sizes)
    (folder / "002.png").write_bytes(b"no image")
    counted = []
    summary = predict_files(Segmenter(Brightness()), [folder], tmp_path / "out", on_done=lambda: counted.append(1))
    assert [path.stem for path in summary.done] == ["000", "001", "003", "004"]
    assert [path.name for path, _ in summary.failed] == ["002.png"]
    assert len(counted) == 5


def test_results_are_written_in_a_thread_while_the_network_works(tmp_path):
    folder = images(tmp_path / "in", [(40, 50)] * 3)
    names = []

    def write(segmentation, source):
        names.append(threading.current_thread().name)

    predict_sources(Segmenter(Brightness()), find_sources([folder], tmp_path / "out"), write)
    assert len(names) == 3
    assert all(name.startswith("write") for name in names)


def test_a_result_that_cannot_be_written_ends_it_and_what_was_written_stays(tmp_path):
    folder, done = images(tmp_path / "in", [(40, 50), (50, 40), (60, 40)]), []

    def write(segmentation, source):
        if source.path.stem == "001":
            raise UserError("the disk is full")
        done.append(source.path.stem)

    with pytest.raises(UserError, match="the disk is full"):
        predict_sources(Segmenter(Brightness()), find_sources([folder], tmp_path / "out"), write)
    assert "000" in done


def test_many_images_take_no_more_memory_than_few(tmp_path):
    peaks = []
    for count in (40, 120):
        folder = images(tmp_path / f"in{count}", [(256, 256)] * count)
        sources = find_sources([folder], tmp_path / "out")
        tracemalloc.start()
        predict_sources(Segmenter(Brightness()), sources, lambda segmentation, source: None)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_larger_images_than_are_allowed_count_as_broken(tmp_path):
    folder = images(tmp_path / "in", [(40, 50), (50, 60)])
    summary = predict_files(Segmenter(Brightness()), [folder], tmp_path / "out", max_pixels=2500)
    assert [path.stem for path in summary.done] == ["000"]
    assert "60×50 pixels, above the limit of 2,500; scale it down, or allow it" in summary.failed[0][1]
    assert predict_files(Segmenter(Brightness()), [folder], tmp_path / "out", max_pixels=3000).failed == []
