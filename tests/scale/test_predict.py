"""Prediction by Ray's actors: the results of one process, byte for byte, whichever workers die."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.artifacts import ModelInfo
from pyramid_attention.artifacts.onnx_file import write_file
from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import UserError
from pyramid_attention.files import CLAIMS
from pyramid_attention.inference import Segmenter, SegmenterOptions
from pyramid_attention.inference.manifest import LOGS
from pyramid_attention.inference.predict_files import predict_files
from pyramid_attention.inference.sources import FileSource, find_images
from pyramid_attention.scale import predict as module
from pyramid_attention.scale.predict import TABLE, predict_on_cluster
from pyramid_attention.scale.worker import Job, Worker
from support import brightest

pytestmark = pytest.mark.timeout(900)  # a busy machine takes half a minute to start a worker
ray = pytest.importorskip("ray")
parquet = pytest.importorskip("pyarrow.parquet")
CLASSES = ("red", "green", "blue")
COUNT, BROKEN = 200, "in/107.png"


@pytest.fixture(scope="module")
def cluster():
    """Two workers, and little shared memory; a run that finds a cluster leaves it as it is."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80 << 20, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """Images of which one is broken, a model, and the results of one process."""
    folder = tmp_path_factory.mktemp("work")
    write_file(brightest(), folder / "model.onnx", ModelInfo(classes=ClassTable.of(list(CLASSES))))
    (folder / "in" / "deep").mkdir(parents=True)
    draw = np.random.default_rng(0)
    for index in range(COUNT):
        place = folder / "in" / ("deep" if index % 3 == 0 else "") / f"{index:03}.png"
        Image.fromarray(draw.integers(0, 256, (9 + index % 4, 11, 3), dtype=np.uint8)).save(place)
    (folder / BROKEN).write_bytes(b"no image")
    predict_files(Segmenter.load(folder / "model.onnx"), find_images([folder / "in"]), folder / "alone")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("[!.]*.png")}


def run(work: Path, out: Path, source: FileSource | None = None, **options):
    return predict_on_cluster(str(work / "model.onnx"), source or find_images([work / "in"]), out, **options)


def times_written(out: Path) -> Counter[str]:
    """How often each file was written, by the logs."""
    lines = [json.loads(line) for log in (out / LOGS).glob("*.jsonl") for line in log.read_bytes().split(b"\n") if line]
    return Counter(line[0] for line in lines if isinstance(line, list))


def workers_in(out: Path) -> list[int]:
    """Ray's processes that work in a folder, by the locks of the runs there; those of dead ones may lie there, too."""
    signed = [text for lock in (out / CLAIMS).iterdir() if (text := lock.read_text())]  # one may just be made
    pids = [json.loads(text)["pid"] for text in signed]
    titles = [Path(f"/proc/{pid}/cmdline") for pid in pids]
    return [
        pid for pid, title in zip(pids, titles, strict=True) if title.exists() and title.read_bytes()[:5] == b"ray::"
    ]


@pytest.fixture(scope="module")
def attacked(work, cluster) -> Path:
    """Results of a run in which a worker was killed for good by Ray, and another by the system."""
    out, done = work / "attacked", 0

    def kill() -> None:
        nonlocal done
        done += 1
        if done == 1:
            ray.kill(ray.get_actor(ray.util.list_named_actors()[0]))
        elif done == 65:
            os.kill(workers_in(out)[0], signal.SIGKILL)

    summary = run(work, out, on_done=kill)
    assert (summary.done, [place for place, _ in summary.failed]) == (COUNT - 1, [str(work / BROKEN)])
    return out


def test_with_workers_killed_the_results_are_those_of_one_process(work, attacked):
    assert contents(attacked) == contents(work / "alone")
    assert len(contents(attacked)) == COUNT - 1


def test_with_workers_killed_no_result_is_written_twice_but_what_was_being_written(attacked):
    times = times_written(attacked)
    # A kill between a line of the log and its file leaves the line, and then the file is made by another.
    assert sum(count - 1 for count in times.values()) <= 2
    assert set(times) == {*contents(attacked), TABLE}


def test_the_table_has_a_row_for_each_image_with_what_became_of_it(work, attacked):
    rows = {row["image"]: row for row in parquet.read_table(attacked / TABLE).to_pylist()}
    images = find_images([work / "in"]).items
    assert parquet.read_metadata(attacked / TABLE).num_rows == len(rows) == COUNT
    for item in images:
        row = rows[item.place]
        assert row["name"] == item.name
        if item.place == str(work / BROKEN):
            assert "not an image in a known format" in row["error"]
            assert row["pixels"] is row["seconds"] is None
            continue
        labels = np.array(Image.open(attacked / f"{item.name}.png"))
        assert row["error"] is None
        assert row["pixels"] == {name: int((labels == id).sum()) for id, name in enumerate(CLASSES)}
        assert row["seconds"] is None or row["seconds"] > 0


def test_resumed_only_what_is_missing_is_done(work, attacked):
    (attacked / "001.png").unlink()
    before = times_written(attacked)
    assert run(work, attacked, resume=True).done == COUNT - 1
    assert dict(times_written(attacked) - before) == {"001.png": 1, TABLE: 1}
    assert contents(attacked) == contents(work / "alone")
    rows = parquet.read_table(attacked / TABLE).to_pylist()
    assert [row["name"] for row in rows if row["seconds"]] == ["001"]


def test_what_is_not_ours_is_refused_before_a_worker_is_made(work, tmp_path):
    (tmp_path / TABLE).write_bytes(b"mine")
    with pytest.raises(UserError, match=rf"holds 1 file that would be overwritten .*: {TABLE}; choose another"):
        run(work, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [TABLE]


def test_rasters_and_videos_are_not_for_a_cluster(work, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(UserError, match=r"a cluster segments images, and .*a\.mp4 is a raster or a video; leave"):
        run(work, tmp_path / "out", find_images([tmp_path / "a.mp4"]))


def test_machines_of_another_version_are_refused(tmp_path):
    job = Job(["model.onnx"], SegmenterOptions(), tmp_path, [], {}, False, False, "team", version="0.0")
    with pytest.raises(UserError, match=r"has version .* of pyramid-attention, and this one 0\.0; install the same"):
        Worker(job).segment([])


class Dying:
    """A worker that the machine ends as it begins."""

    def __init__(self, job) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def segment(self, items):
        raise AssertionError


def test_workers_that_all_die_as_they_begin_end_the_run(work, tmp_path, cluster, monkeypatch):
    Dying.__module__ = "__main__"  # sent by value: workers do not see the tests
    monkeypatch.setattr(module, "Worker", Dying)
    monkeypatch.setattr(module, "DEATHS", 2)
    with pytest.raises(UserError, match=r"^2 workers have died and nothing is done; look at Ray's logs"):
        run(work, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_address_where_no_cluster_is_is_said(work, tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: (_ for _ in ()).throw(ConnectionError("nobody there")))
    with pytest.raises(UserError, match=r"no Ray cluster answers at 10\.0\.0\.1:6379: nobody there; check the address"):
        run(work, tmp_path / "out", address="10.0.0.1:6379")
