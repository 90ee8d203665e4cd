"""Folders at full speed: what goes through the network together, and that nothing is lost or held."""

from __future__ import annotations

import errno
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.artifacts import ModelInfo
from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import SomeFailed, UserError
from pyramid_attention.images import ArrayImage
from pyramid_attention.inference import Segmenter
from pyramid_attention.inference import predict as module
from pyramid_attention.inference.predict import predict
from pyramid_attention.inference.sinks import Claim, FileSink
from pyramid_attention.inference.sources import Item, find_images


class Brightness:
    """Two classes: dark and bright. Logits at the images' own size; remembers the shapes it was given."""

    info = ModelInfo(classes=ClassTable.of(["dark", "bright"]))
    device = "cpu"
    largest = 99

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, images):
        if len(images) > self.largest:
            raise UserError("out of memory")
        self.shapes.append(images.shape[:3])
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


def run(engine: Brightness, folder: Path, out: Path, on_done=None, **options):
    with FileSink(out, made_by={}) as sink:
        return predict(Segmenter(engine, **options), find_images([folder]), sink, on_done=on_done)


class Memory:
    """A sink that remembers what it was given, and by which thread."""

    needs_confidence = False

    def __init__(self, done: tuple[str, ...] = (), elsewhere: dict[str, int] | None = None) -> None:
        self.done, self.elsewhere = done, elsewhere or {}
        self.written, self.given_up, self.threads = [], {}, set()

    def check(self, items) -> None:
        self.checked = [item.name for item in items]

    def claim(self, item: Item) -> Claim:
        if self.elsewhere.get(item.name, 0):
            self.elsewhere[item.name] -= 1
            return Claim.ELSEWHERE
        return Claim.DONE if item.name in self.done else Claim.OURS

    def write(self, item: Item, segmentation) -> None:
        self.threads.add(threading.current_thread().name)
        self.written.append(item.name)

    def give_up(self, item: Item, reason: str) -> None:
        self.given_up[item.name] = reason


class Frames:
    """A source that makes images as they are asked for, and does not say how many."""

    failed: tuple = ()
    count = None

    def __init__(self, number: int, size: tuple[int, int] = (40, 50)) -> None:
        self.number, self.size, self.read_in_order = number, size, []

    def __iter__(self):
        return (Item(f"{index:03}", f"frame {index}") for index in range(self.number))

    def read(self, item: Item) -> ArrayImage:
        self.read_in_order.append(item.name)
        if item.name == "002":
            raise UserError("frame 2 is damaged")
        return ArrayImage(np.zeros((*self.size, 3), np.uint8))


def test_neighbours_of_one_size_go_together_up_to_a_number_of_pixels(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "GROUP_PIXELS", 3 * 40 * 50)
    sizes = [(40, 50)] * 4 + [(50, 40)] + [(40, 50)] * 2 + [(200, 300)] * 2
    folder, engine = images(tmp_path / "in", sizes), Brightness()
    summary = run(engine, folder, tmp_path / "out")
    assert [shape[0] for shape in engine.shapes] == [3, 1, 1, 2, 1, 1]
    assert (summary.done, summary.failed) == (len(sizes), [])
    check(tmp_path / "out", sizes)


def test_tiled_images_go_alone(tmp_path):
    sizes = [(100, 100)] * 2 + [(100, 300)] * 2
    folder, engine = images(tmp_path / "in", sizes), Brightness()
    run(engine, folder, tmp_path / "out", tile=128)
    assert engine.shapes[0] == (2, 100, 100)
    assert {count for count, *_ in engine.shapes[1:]} == {1}
    check(tmp_path / "out", sizes)


def test_where_memory_does_not_hold_them_together_they_go_one_by_one(tmp_path):
    sizes = [(40, 50)] * 3
    folder, engine = images(tmp_path / "in", sizes), Brightness()
    engine.largest = 1
    run(engine, folder, tmp_path / "out").check()
    assert [shape[0] for shape in engine.shapes] == [1, 1, 1]
    check(tmp_path / "out", sizes)


def test_broken_ones_among_them_are_told_and_every_one_is_counted(tmp_path):
    sizes = [(40, 50)] * 5
    folder = images(tmp_path / "in", sizes)
    (folder / "002.png").write_bytes(b"no image")
    counted = []
    summary = run(Brightness(), folder, tmp_path / "out", on_done=lambda: counted.append(1))
    assert sorted(path.stem for path in (tmp_path / "out").glob("*.png")) == ["000", "001", "003", "004"]
    assert summary.done == 4
    assert [place for place, _ in summary.failed] == [str(folder / "002.png")]
    assert len(counted) == 5
    with pytest.raises(SomeFailed, match=r"1 of 5 inputs failed, the others are done: .*002"):
        summary.check()


def test_a_source_need_not_know_how_many_and_a_sink_need_not_be_files():
    source, sink = Frames(5), Memory(done=("003",))
    summary = predict(Segmenter(Brightness()), source, sink)
    assert source.read_in_order == ["000", "001", "002", "004"]
    assert (sink.written, summary.done) == (["000", "001", "004"], 4)
    assert sink.given_up == {"002": "frame 2 is damaged"}
    assert summary.failed == [("frame 2", "frame 2 is damaged")]
    assert all(name.startswith("write") for name in sink.threads)
    assert not hasattr(sink, "checked")


def test_a_sink_is_asked_about_all_items_before_the_first_is_read(tmp_path):
    source, sink = find_images([images(tmp_path / "in", [(40, 50)] * 3)]), Memory()
    predict(Segmenter(Brightness()), source, sink)
    assert sink.checked == ["000", "001", "002"]


def test_what_another_process_is_at_is_asked_for_again_until_it_is_done(monkeypatch):
    slept = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    source = Frames(8)
    sink = Memory(done=("001",), elsewhere={"001": 4, "005": 1, "007": 2})
    counted = []
    summary = predict(Segmenter(Brightness()), source, sink, on_done=lambda: counted.append(1))
    assert sink.written == ["000", "003", "004", "006", "005", "007"]  # 005 and 007 were given up by the other
    assert (summary.done, len(summary.failed), len(counted)) == (7, 1, 8)
    assert slept == [module.WAIT]


def test_a_name_too_long_is_one_failure_and_a_full_disk_is_the_end():
    def sink_with(number: int) -> Memory:
        sink = Memory()

        def write(item, segmentation):
            if item.name == "001":
                raise UserError("cannot write") from OSError(number, "")
            sink.written.append(item.name)

        sink.write = write
        return sink

    sink = sink_with(errno.ENAMETOOLONG)
    summary = predict(Segmenter(Brightness()), Frames(6), sink)
    assert summary.failed == [("frame 1", "cannot write"), ("frame 2", "frame 2 is damaged")]
    assert sink.written == ["000", "003", "004", "005"]
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        sink = sink_with(number)
        with pytest.raises(UserError, match="cannot write"):
            predict(Segmenter(Brightness()), Frames(40), sink)
        assert sink.written[0] == "000"
        assert len(sink.written) < 39


def test_many_images_take_no_more_memory_than_few():
    peaks = []
    for count in (40, 120):
        tracemalloc.start()
        predict(Segmenter(Brightness()), Frames(count, (256, 256)), Memory())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_larger_images_than_are_allowed_count_as_broken(tmp_path):
    folder = images(tmp_path / "in", [(40, 50), (50, 60)])
    source, sink = find_images([folder], max_pixels=2500), Memory()
    summary = predict(Segmenter(Brightness()), source, sink)
    assert sink.written == ["000"]
    assert "60×50 pixels, above the limit of 2,500; scale it down, or allow it" in summary.failed[0][1]


def test_a_large_image_in_small_tiles_takes_the_memory_of_its_labels_and_little_more(tmp_path, monkeypatch):
    """Beside what Pillow decodes: of the pixels only windows become an array, of the logits one row of tiles."""
    Image.new("RGB", (2000, 3000)).save(tmp_path / "a.png")
    peaks = []
    for tile in (128, 1024):
        tracemalloc.start()
        predict(Segmenter(Brightness(), tile=tile), find_images([tmp_path / "a.png"]), Memory())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    labels = 2000 * 3000
    assert peaks[0] < labels + 6 * 4 * (128 + 64) * 2000 * 2  # some copies of float32 logits of two classes
    assert peaks[0] < 0.5 * peaks[1]
