"""Submissions: the archives that the servers of VOC, Cityscapes and ADE20K take, from folders as they unpack."""

from __future__ import annotations

import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pyramid_attention.artifacts import save_model
from pyramid_attention.classes import ClassTable
from pyramid_attention.cli import main
from pyramid_attention.data import published
from pyramid_attention.errors import UserError
from pyramid_attention.evaluation import evaluate
from pyramid_attention.evaluation.submissions import BENCHMARKS, check_model, plan_submission
from pyramid_attention.inference import Segmenter
from pyramid_attention.inference.manifest import LOGS
from pyramid_attention.models import build_model

TABLES = {"voc": published.VOC, "cityscapes": published.CITYSCAPES, "ade20k": published.ADE20K}
SIZES = {"a": (40, 33), "b": (51, 38)}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for name, classes in TABLES.items():
        torch.manual_seed(0)
        network = build_model("pan", num_classes=len(classes), backbone="test_resnet", channels=8)
        network.classes = classes
        folders[name] = tmp_path_factory.mktemp("models") / name
        save_model(network, folders[name])
    return folders


def make_image(path: Path, size: tuple[int, int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(size[0]).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def voc_folder(root: Path) -> list[Path]:
    home = root / "VOCdevkit" / "VOC2012"
    make_image(home / "JPEGImages" / "2007_000032.jpg", (64, 48))  # of another list
    make_image(home / "SegmentationClass" / "2007_000032.png", (64, 48))
    (home / "ImageSets" / "Segmentation").mkdir(parents=True)
    (home / "ImageSets" / "Segmentation" / "test.txt").write_text("2008_000006\n2008_000011\n")
    return [
        make_image(home / "JPEGImages" / f"{name}.jpg", size)
        for name, size in zip(("2008_000006", "2008_000011"), SIZES.values(), strict=True)
    ]


def cityscapes_folder(root: Path) -> list[Path]:
    make_image(root / "leftImg8bit" / "val" / "lindau" / "lindau_000000_000019_leftImg8bit.png", (64, 48))
    make_image(root / "gtFine" / "test" / "berlin" / "berlin_000000_000019_gtFine_color.png", (64, 48))
    test = root / "leftImg8bit" / "test"
    return [
        make_image(test / "berlin" / "berlin_000000_000019_leftImg8bit.png", SIZES["a"]),
        make_image(test / "mainz" / "mainz_000003_016651_leftImg8bit.png", SIZES["b"]),
    ]


def ade20k_folder(root: Path) -> list[Path]:
    home = root / "ADEChallengeData2016" / "images"
    make_image(home / "validation" / "ADE_val_00000001.jpg", (64, 48))
    return [
        make_image(home / "testing" / "ADE_test_00000001.jpg", SIZES["a"]),
        make_image(home / "testing" / "ADE_test_00000002.jpg", SIZES["b"]),
    ]


FOLDERS = {"voc": voc_folder, "cityscapes": cityscapes_folder, "ade20k": ade20k_folder}
NAMES = {
    "voc": [f"results/VOC2012/Segmentation/comp6_test_cls/2008_0000{number}.png" for number in ("06", "11")],
    "cityscapes": ["berlin_000000_000019_pred_labelIds.png", "mainz_000003_016651_pred_labelIds.png"],
    "ade20k": ["ADE_test_00000001.png", "ADE_test_00000002.png"],
}
ARCHIVES = {"voc": "voc.tar.gz", "cityscapes": "cityscapes.zip", "ade20k": "ade20k.zip"}
IDS = {
    "voc": list(range(21)),
    "cityscapes": [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33],
    "ade20k": list(range(1, 151)),
}


def submit(name: str, model: Path, out: Path, *words: object) -> int:
    return main(
        ["predict", *map(str, words), "--model", str(model), "--out", str(out), "--submission", name, "--device", "cpu"]
    )


def members(archive: Path) -> dict[str, bytes]:
    """The files of an archive by name, in their order."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            return {name: packed.read(name) for name in packed.namelist()}
    with tarfile.open(archive, "r:gz") as packed_tar:
        return {member.name: packed_tar.extractfile(member).read() for member in packed_tar}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_archive_holds_what_the_server_wants(
    name: str, models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = FOLDERS[name](tmp_path / "data")
    out = tmp_path / "out"
    assert submit(name, models[name], out, tmp_path / "data") == 0
    assert f"{out / ARCHIVES[name]} is ready to be sent in" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == sorted([LOGS, name, ARCHIVES[name]])

    packed = members(out / ARCHIVES[name])
    assert list(packed) == NAMES[name]
    segment = Segmenter.load(models[name], device="cpu")
    found: set[int] = set()
    for path, data in zip(images, packed.values(), strict=True):
        labels = segment(path).labels
        with Image.open(BytesIO(data)) as result:
            assert result.format == "PNG"
            assert result.mode == ("P" if name == "voc" else "L")
            with Image.open(path) as image:
                assert result.size == image.size
            assert np.array_equal(np.asarray(result), np.array(IDS[name])[labels])
            if name == "voc":
                assert result.getpalette() == published.VOC.palette().ravel().tolist()
        found |= set(np.unique(labels).tolist())
    assert len(found) > 1  # one class alone would not tell one table of ids from another


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("voc", "VOCdevkit"),
        ("voc", "VOCdevkit/VOC2012"),
        ("cityscapes", "leftImg8bit"),
        ("cityscapes", "leftImg8bit/test"),
        ("ade20k", "ADEChallengeData2016"),
        ("ade20k", "ADEChallengeData2016/images"),
        ("ade20k", "ADEChallengeData2016/images/testing"),
    ],
)
def test_the_test_images_are_found_from_any_of_the_benchmarks_folders(name: str, folder: str, tmp_path: Path) -> None:
    images = FOLDERS[name](tmp_path)
    planned = plan_submission(name, [tmp_path / folder], tmp_path / "out")
    assert [Path(item.place) for item in planned.source] == images
    assert [f"{item.name}.png" for item in planned.source] == [f"{name}/{result}" for result in NAMES[name]]


def test_ade20k_of_the_places_challenge(tmp_path: Path) -> None:
    path = make_image(tmp_path / "release_test" / "testing" / "ADE_test_00000001.jpg", (8, 8))
    planned = plan_submission("ade20k", [tmp_path], tmp_path / "out")
    assert [Path(item.place) for item in planned.source] == [path]


def test_cityscapes_own_script_takes_a_submission_and_gives_it_our_numbers(
    models: dict[str, Path], tmp_path: Path
) -> None:
    official = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    data = tmp_path / "data"
    for index in range(2):
        stem = f"lindau_{index:06}_000019"
        make_image(data / "leftImg8bit" / "val" / "lindau" / f"{stem}_leftImg8bit.png", (40, 36))
        truth = data / "gtFine" / "val" / "lindau" / f"{stem}_gtFine_labelIds.png"
        truth.parent.mkdir(parents=True, exist_ok=True)
        ids = np.random.default_rng(index).integers(0, 34, (36, 40), dtype=np.uint8)
        Image.fromarray(ids).save(truth)
    assert submit("cityscapes", models["cityscapes"], tmp_path / "out", data / "leftImg8bit" / "val") == 0
    with zipfile.ZipFile(tmp_path / "out" / "cityscapes.zip") as packed:
        packed.extractall(tmp_path / "sent")

    args = official.CArgs()
    args.__dict__.update(vars(official.args), evalInstLevelScore=False, JSONOutput=False, quiet=True)
    args.predictionPath, args.predictionWalk = str(tmp_path / "sent"), None
    truths = sorted(str(path) for path in data.rglob("*_labelIds.png"))
    said = official.evaluateImgLists([official.getPrediction(args, truth) for truth in truths], truths, args)
    ours = evaluate(data, models["cityscapes"], device="cpu").metrics()
    assert said["averageScoreClasses"] == ours["miou"]
    assert said["averageScoreCategories"] == ours["category_iou"]


def test_an_image_that_fails_keeps_the_archive_from_being_packed_until_it_is_mended(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, broken = ade20k_folder(tmp_path / "data")
    broken.write_bytes(broken.read_bytes()[:100])
    out = tmp_path / "out"
    assert submit("ade20k", models["ade20k"], out, tmp_path / "data") == 1
    said = capsys.readouterr().err
    assert "no archive is packed while images fail; mend them and add --resume" in said
    assert "1 of 2 inputs failed" in said
    assert not (out / "ade20k.zip").exists()

    done = out / "ade20k" / "ADE_test_00000001.png"
    Image.fromarray(np.full((33, 40), 77, dtype=np.uint8)).save(done)  # so that predicting it again would show
    make_image(broken, SIZES["b"])
    assert submit("ade20k", models["ade20k"], out, tmp_path / "data", "--resume") == 0
    packed = members(out / "ade20k.zip")
    assert list(packed) == NAMES["ade20k"]
    assert packed["ADE_test_00000001.png"] == done.read_bytes()

    capsys.readouterr()
    assert submit("ade20k", models["ade20k"], out, tmp_path / "data") == 2  # without --resume all is done anew
    assert "ade20k/ADE_test_00000001.png; choose another folder with --out, or" in capsys.readouterr().err
    assert submit("ade20k", models["ade20k"], out, tmp_path / "data", "--overwrite") == 0
    assert (np.asarray(Image.open(done)) != 77).any()


def test_an_image_of_the_list_that_is_not_there_is_told(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voc_folder(tmp_path)[1].unlink()
    assert submit("voc", models["voc"], tmp_path / "out", tmp_path) == 1
    assert "2008_000011.jpg does not exist" in capsys.readouterr().err
    assert not (tmp_path / "out" / "voc.tar.gz").exists()


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_fault_while_packing_leaves_the_old_archive_and_nothing_else(
    name: str, models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FOLDERS[name](tmp_path)
    planned, segmenter = plan_submission(name, [tmp_path], tmp_path / "out"), Segmenter.load(models[name], device="cpu")
    planned.make(segmenter)
    before, read, asked = planned.archive.read_bytes(), Path.read_bytes, []

    def full_disk(path: Path) -> bytes:
        asked.append(path)
        if len(asked) == 2:
            raise OSError(28, "No space left on device")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", full_disk)
    with pytest.raises(UserError, match=f"cannot write {planned.archive}: No space left on device"):
        planned.make(segmenter, resume=True)
    monkeypatch.undo()
    assert planned.archive.read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([LOGS, name, planned.archive.name])


def test_only_what_was_asked_for_is_packed_and_twice_the_same(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, make in FOLDERS.items():
        make(tmp_path / name)
        segmenter = Segmenter.load(models[name], device="cpu")
        planned = plan_submission(name, [tmp_path / name], tmp_path / "out")
        other = Path(planned.source.items[0].name).with_name("other.png")
        make_image(tmp_path / "out" / other, (8, 8))  # of an earlier run
        planned.make(segmenter)
        assert list(members(planned.archive)) == NAMES[name]
        first = planned.archive.read_bytes()
        monkeypatch.setattr("time.time", lambda: 0)  # on another day
        planned.make(segmenter)
        monkeypatch.undo()
        assert planned.archive.read_bytes() == first


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--submission", "vok"], "there is no benchmark 'vok' to submit to. Did you mean 'voc'?"),
        (["--submission", "voc"], "ADE_test_00000001.jpg is not named as PASCAL VOC names its images"),
        (["--submission", "ade20k"], "the model has 21 classes but ADE20K 150; send in a model that was trained on"),
        (["--submission", "ade20k", "--overlay"], "leave out --overlay, --confidence and --polygons"),
        (["--submission", "ade20k", "--confidence"], "leave out --overlay, --confidence and --polygons"),
    ],
)
def test_mistakes_are_one_line(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    ade20k_folder(tmp_path)
    out = tmp_path / "out"
    common = ["predict", str(tmp_path), "--model", str(models["voc"]), "--out", str(out), "--device", "cpu"]
    assert main([*common, *words]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("pan: ")
    assert message in said[-1]
    assert not out.exists()


def test_one_image_twice_is_refused(tmp_path: Path) -> None:
    make_image(tmp_path / "JPEGImages" / "2007_000032.jpg", (8, 8))
    make_image(tmp_path / "SegmentationClass" / "2007_000032.png", (8, 8))
    with pytest.raises(UserError, match=r"are both 2007_000032; name the folder of the test images alone"):
        plan_submission("voc", [tmp_path], tmp_path / "out")


def test_the_models_classes_must_be_the_benchmarks_in_its_order() -> None:
    benchmark = BENCHMARKS["cityscapes"]
    check_model(published.CITYSCAPES, benchmark)
    check_model(ClassTable.of(19), benchmark)  # trained before its classes were named
    swapped = list(published.CITYSCAPES.names)
    swapped[4:6] = swapped[5:3:-1]
    with pytest.raises(UserError, match="class 4 of the model is 'pole' but of Cityscapes 'fence'"):
        check_model(ClassTable.of(swapped), benchmark)
    with pytest.raises(UserError, match="the model has 21 classes but Cityscapes 19"):
        check_model(published.VOC, benchmark)
