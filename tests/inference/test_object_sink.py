"""From a bucket into a bucket whose server fails one request in twenty: what a folder would hold, and as safe."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.test_predict import Brightness
from pyramid_attention import storage
from pyramid_attention.artifacts import ModelInfo
from pyramid_attention.artifacts.locate import locate
from pyramid_attention.artifacts.onnx_file import write_file
from pyramid_attention.classes import ClassTable
from pyramid_attention.cli import main
from pyramid_attention.data import open_dataset
from pyramid_attention.errors import UserError
from pyramid_attention.inference import Segmenter
from pyramid_attention.inference.manifest import LOGS
from pyramid_attention.inference.object_sink import ObjectSink, Record
from pyramid_attention.inference.predict_files import predict_files
from pyramid_attention.inference.sinks import LABEL_MAP, Claim
from pyramid_attention.inference.sources import find_images
from pyramid_attention.storage import list_files, local_copy, read_bytes, write_bytes
from stores import s3_server
from support import brightest

COUNT = 20


class Saved(Brightness):
    info = replace(Brightness.info, weights_sha256="0")


class Other(Brightness):
    info = replace(Brightness.info, weights_sha256="1")


@pytest.fixture(scope="module")
def server():
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def bucket(server, tmp_path_factory) -> Path:
    """Images in a folder and in the bucket, one of them broken."""
    folder = tmp_path_factory.mktemp("in")
    draw = np.random.default_rng(0)
    for index in range(COUNT):
        path = folder / ("deep" if index % 3 == 0 else "") / f"{index:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (7, 9, 3), dtype=np.uint8)).save(path)
    (folder / "07.png").write_bytes(b"no image")
    for path in folder.rglob("*.png"):
        write_bytes(f"s3://bucket/in/{path.relative_to(folder).as_posix()}", path.read_bytes())
    server.active = True
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv(storage.CACHE, str(tmp_path / "cache"))


def run(out: str, inputs: str = "s3://bucket/in", engine: type[Brightness] = Saved, **options):
    return predict_files(Segmenter(engine()), find_images([inputs], out), Path(out), **options)


def results(address: str) -> dict[str, bytes]:
    names = [name for name in list_files(address) if not name.startswith(LOGS)]
    return {name: read_bytes(f"{address}/{name}") for name in names}


def test_results_at_an_address_are_those_in_a_folder_though_requests_fail(bucket, server, tmp_path):
    local = run(str(tmp_path / "out"), str(bucket))
    failed = server.failed
    stored = run("s3://bucket/out")
    assert server.failed > failed
    assert stored.done == local.done == COUNT - 1
    assert [place for place, _ in stored.failed] == ["s3://bucket/in/07.png"]
    folder = tmp_path / "out"
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("[!.]*.png")}
    assert results("s3://bucket/out") == files


def test_resumed_only_what_is_missing_or_of_a_changed_image_is_made(bucket):
    run("s3://bucket/resumed")
    storage.remove("s3://bucket/resumed/01.png")
    write_bytes("s3://bucket/in/02.png", (bucket / "04.png").read_bytes())
    before = list_files(f"s3://bucket/resumed/{LOGS}").keys()
    assert run("s3://bucket/resumed", resume=True).done == COUNT - 1
    made = [Record.parse(key) for key in list_files(f"s3://bucket/resumed/{LOGS}").keys() - before]
    assert sorted(name for name, _ in filter(None, made)) == ["01.png", "02.png"]
    assert read_bytes("s3://bucket/resumed/02.png") == read_bytes("s3://bucket/resumed/04.png")


def test_what_is_not_ours_or_was_changed_is_refused_before_anything_is_made(bucket):
    write_bytes("s3://bucket/mine/05.png", b"mine")
    with pytest.raises(UserError, match=r"holds 1 object that would be overwritten .*: 05\.png; choose another out="):
        run("s3://bucket/mine")
    assert results("s3://bucket/mine") == {"05.png": b"mine"}
    run("s3://bucket/mine", overwrite=True)
    changed = bytes(reversed(read_bytes("s3://bucket/mine/05.png")))  # of the same size
    write_bytes("s3://bucket/mine/05.png", changed)
    with pytest.raises(UserError, match=r"or that were changed since: 05\.png;"):
        run("s3://bucket/mine")
    assert read_bytes("s3://bucket/mine/05.png") == changed
    with pytest.raises(UserError, match=r"s3://bucket/in/\d\d\.png, a result of .*, would overwrite an image"):
        run("s3://bucket/in", "s3://bucket/in")


def test_two_results_of_one_name_are_refused_before_anything_is_made(bucket):
    for name in ("a.png", "a_confidence.png"):
        write_bytes(f"s3://bucket/pair/{name}", (bucket / "01.png").read_bytes())
    with pytest.raises(UserError, match=r"pair/a\.png and .*pair/a_confidence\.png would both be written as s3://buc"):
        run("s3://bucket/pairs", "s3://bucket/pair", confidence=True)
    assert results("s3://bucket/pairs") == {}


def test_a_run_of_another_model_is_refused_while_one_is_under_way(bucket):
    with (
        ObjectSink("s3://bucket/busy", [LABEL_MAP], made_by=Segmenter(Saved()).identity),
        pytest.raises(UserError, match=r"another process is writing results of another model, .* to s3://bucket/busy;"),
    ):
        run("s3://bucket/busy", engine=Other)
    assert run("s3://bucket/busy", engine=Other).done == COUNT - 1


def test_a_worker_knows_what_its_team_has_written_since_it_began(bucket):
    source = find_images(["s3://bucket/in/01.png"])
    made_by = Segmenter(Saved()).identity
    with (
        ObjectSink("s3://bucket/team", [LABEL_MAP], made_by=made_by, team="t") as one,
        ObjectSink("s3://bucket/team", [LABEL_MAP], made_by=made_by, team="t") as other,
        ObjectSink("s3://bucket/team", [LABEL_MAP], made_by=made_by, team="u") as stranger,
    ):
        (item,) = source.items
        assert one.claim(item) is Claim.OURS
        one.write(item, Segmenter(Saved())(source.read(item)))
        assert [sink.claim(item) for sink in (one, other, stranger)] == [Claim.DONE, Claim.DONE, Claim.OURS]


def test_models_and_data_sets_are_read_from_addresses(bucket, tmp_path):
    write_file(brightest(), tmp_path / "m.onnx", ModelInfo(classes=ClassTable.of(["red", "green", "blue"])))
    write_bytes("s3://bucket/models/m.onnx", (tmp_path / "m.onnx").read_bytes())
    assert locate("s3://bucket/models/m.onnx").path.read_bytes() == (tmp_path / "m.onnx").read_bytes()
    for split in ("train", "val"):
        mask = Image.fromarray(np.arange(63, dtype=np.uint8).reshape(7, 9) % 2)
        mask.save(tmp_path / "mask.png")
        for kind, content in (("images", bucket / "01.png"), ("masks", tmp_path / "mask.png")):
            write_bytes(f"s3://bucket/data/{kind}/{split}/a.png", content.read_bytes())
    dataset = open_dataset("s3://bucket/data")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 1, "val": 1}
    np.testing.assert_array_equal(dataset.splits["val"][0].read_mask(), np.array(mask))
    assert dataset.root == local_copy("s3://bucket/data")


def test_a_bucket_that_does_not_exist_is_one_line_and_exit_code_2(server, tmp_path, capsys):
    code = main(["predict", "s3://nowhere/in", "--out", str(tmp_path / "out")])
    assert (code, capsys.readouterr().err) == (
        2,
        "pan: there is nothing at s3://nowhere/in; check the bucket and the name\n",
    )
    code = main(["eval", "s3://nowhere/data", "--json", str(tmp_path / "x.json")])
    assert code == 2
    assert "there is nothing at s3://nowhere" in capsys.readouterr().err


def test_records_say_all_that_is_known_and_other_objects_are_none():
    record = Record("0" * 16, "run", "v", 17, "abc")
    key = record.key("deep/a.png").removeprefix(f"{LOGS}/")
    assert Record.parse(key) == ("deep/a.png", record)
    assert Record.parse("running/x~y") is None
    assert json.dumps(key) == f'"{key}"'
