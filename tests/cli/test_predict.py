"""`pan predict` and `pan eval` from end to end, with a tiny network that was never trained."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pyramid_attention.artifacts import save_model
from pyramid_attention.classes import ClassTable
from pyramid_attention.cli import main
from pyramid_attention.data import open_dataset
from pyramid_attention.evaluation import evaluate, evaluate_samples
from pyramid_attention.inference import Segmenter
from pyramid_attention.inference.manifest import LOGS
from pyramid_attention.models import build_model

CLASSES = ClassTable.of(["ground", "box", "disc"], [[10, 20, 30], [200, 0, 0], [0, 0, 200]])
SMALL, LARGE = (37, 23), (1500, 900)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = build_model("pan", num_classes=3, backbone="test_resnet", channels=8)
    network.classes = CLASSES
    folder = tmp_path_factory.mktemp("model") / "tiny"
    save_model(network, folder)
    return folder


def make_image(size: tuple[int, int], seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def rotated(size: tuple[int, int]) -> tuple[Image.Image, dict[str, object]]:
    exif = Image.Exif()
    exif[0x0112] = 6
    return make_image((size[1], size[0])), {"exif": exif}


KINDS = {
    "colour.jpg": make_image(SMALL),
    "grey.png": make_image(SMALL).convert("L"),
    "rgba.png": make_image(SMALL).convert("RGBA"),
    "palette.png": make_image(SMALL).quantize(16),
    "cmyk.jpg": make_image(SMALL).convert("CMYK"),
    "black_and_white.png": make_image(SMALL).convert("1"),
    "sixteen.png": Image.fromarray(np.arange(23 * 37, dtype=np.uint16).reshape(23, 37) * 70),
    "pixel.png": make_image((1, 1)),
    "row.png": make_image((90, 1)),
    "large.jpg": make_image(LARGE),
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for name, image in KINDS.items():
        image.save(folder / name)
    turned, options = rotated(SMALL)
    turned.save(folder / "turned.jpg", **options)
    (folder / "deep" / "er").mkdir(parents=True)
    make_image(SMALL).save(folder / "deep" / "er" / "colour.jpg")
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.fixture(scope="module")
def predicted(model: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    words = ["predict", str(images), "--model", str(model), "--out", str(out), "--overlay", "--confidence"]
    assert main([*words, "--device", "cpu"]) == 0
    return out


@pytest.mark.parametrize("name", [*KINDS, "turned.jpg"])
def test_every_kind_of_image_gives_a_label_map_of_its_size(
    predicted: Path, images: Path, model: Path, name: str
) -> None:
    stem = Path(name).stem
    segmentation = Segmenter.load(model, device="cpu")(images / name)
    size = SMALL if name == "turned.jpg" else KINDS[name].size
    with Image.open(predicted / f"{stem}.png") as labels:
        assert labels.mode == "P"
        assert labels.size == size
        assert np.array_equal(np.asarray(labels), segmentation.labels)
        assert labels.getpalette()[:9] == [10, 20, 30, 200, 0, 0, 0, 0, 200]
    with Image.open(predicted / f"{stem}_confidence.png") as confidence:
        assert np.array_equal(np.asarray(confidence), np.rint(segmentation.confidence * 255))
    with Image.open(predicted / f"{stem}_overlay.jpg") as overlay:
        assert overlay.width >= size[0]
        assert overlay.height > size[1]


def test_folders_keep_their_relative_paths_and_nothing_else_is_written(predicted: Path) -> None:
    assert [path.name for path in predicted.glob(".*")] == [LOGS]
    stems = {path.relative_to(predicted).as_posix() for path in predicted.glob("[!.]*/**/*.*")}
    stems |= {path.name for path in predicted.iterdir() if path.is_file()}
    expected = {Path(name).stem for name in [*KINDS, "turned.jpg"]} | {"deep/er/colour"}
    assert stems == {f"{s}{end}" for s in expected for end in (".png", "_overlay.jpg", "_confidence.png")}


def predict(model: Path, out: Path, *inputs: object) -> int:
    words = [str(word) for word in inputs]
    return main(["predict", *words, "--model", str(model), "--out", str(out), "--device", "cpu"])


def test_patterns_and_single_files(model: Path, images: Path, tmp_path: Path) -> None:
    assert predict(model, tmp_path, images / "**" / "c*.jpg", images / "grey.png") == 0
    written = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.png"))
    assert written == ["cmyk.png", "colour.png", "deep/er/colour.png", "grey.png"]


def test_tta_averages_over_scales_and_flip(model: Path, images: Path, tmp_path: Path) -> None:
    assert predict(model, tmp_path, images / "colour.jpg", "--confidence", "--tta") == 0
    expected = Segmenter.load(model, device="cpu", tta=True)(images / "colour.jpg")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "colour.png")), expected.labels)
    confidence = np.asarray(Image.open(tmp_path / "colour_confidence.png"))
    assert np.array_equal(confidence, np.rint(expected.confidence * 255))


def test_resume_leaves_out_what_is_done_and_files_of_others_are_refused(
    model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(model, tmp_path, images / "colour.jpg") == 0
    first = (tmp_path / "colour.png").read_bytes()
    (tmp_path / "colour.png").write_bytes(b"changed")
    assert predict(model, tmp_path, images / "colour.jpg", images / "grey.png", "--resume") == 0
    assert (tmp_path / "colour.png").read_bytes() == b"changed"
    assert (tmp_path / "grey.png").is_file()
    capsys.readouterr()
    assert predict(model, tmp_path, images / "colour.jpg") == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert line.startswith(f"pan: {tmp_path} holds 1 file that would be overwritten")
    assert line.endswith(": colour.png; choose another folder with --out, or replace them with --overwrite")
    assert (tmp_path / "colour.png").read_bytes() == b"changed"
    assert predict(model, tmp_path, images / "colour.jpg", "--overwrite") == 0
    assert (tmp_path / "colour.png").read_bytes() == first


def test_resume_does_again_what_another_model_or_other_options_made(model: Path, images: Path, tmp_path: Path) -> None:
    def written(*words: object) -> int:
        before = (tmp_path / "colour.png").stat().st_mtime_ns if (tmp_path / "colour.png").exists() else 0
        assert predict(model, tmp_path, images / "colour.jpg", "--resume", *words) == 0
        return (tmp_path / "colour.png").stat().st_mtime_ns != before

    assert written()
    assert not written()
    assert written("--tta")
    assert not written("--tta")
    assert written("--tta", "--max-size", 32)
    assert written()


def test_two_at_once_do_each_image_once(model: Path, images: Path, tmp_path: Path) -> None:
    command = ["predict", str(images), "--model", str(model), "--out", str(tmp_path), "--device", "cpu"]
    command += ["--resume"]  # for the case that one ends before the other begins
    python = [sys.executable, "-c", "import sys; from pyramid_attention.cli import main; sys.exit(main())"]
    both = [subprocess.Popen([*python, *command], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said == [f"12 label maps are in {tmp_path}\n"] * 2
    logs = "".join(path.read_text() for path in (tmp_path / LOGS).glob("*.jsonl"))
    assert logs.count('"claimed"') == logs.count('"ended"') == 12


def test_a_long_name_is_one_image_among_the_rest(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    long = "x" * 241
    for name in (long, "a", "z"):
        make_image(SMALL).save(tmp_path / "in" / f"{name}.jpg")
    assert predict(model, tmp_path / "out", tmp_path / "in") == 0
    assert {path.stem for path in (tmp_path / "out").glob("*.png")} == {long, "a", "z"}
    assert predict(model, tmp_path / "more", tmp_path / "in", "--confidence") == 1  # _confidence.png is too much
    assert "1 of 3 inputs failed, the others are done" in capsys.readouterr().err
    assert {path.stem for path in (tmp_path / "more").glob("*.png")} == {long, "a", "z", "a_confidence", "z_confidence"}


def broken(folder: Path) -> Path:
    folder.mkdir()
    make_image(SMALL).save(folder / "good.jpg")
    whole = (folder / "good.jpg").read_bytes()
    (folder / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("hello")
    return folder


def test_broken_images_are_told_and_the_rest_is_done(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = broken(tmp_path / "in")
    assert predict(model, tmp_path / "out", folder) == 1
    error = capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").glob("[!.]*")] == ["good.png"]
    assert "half.jpg is damaged" in error
    assert "text.jpg is not an image" in error
    assert error.strip().splitlines()[-1].startswith("pan: 2 of 3 inputs failed, the others are done")
    assert "Traceback" not in error


def test_where_all_fail_the_exit_code_is_2(model: Path, tmp_path: Path) -> None:
    folder = broken(tmp_path / "in")
    assert predict(model, tmp_path / "out", folder / "half.jpg", folder / "text.jpg") == 2


@pytest.mark.parametrize(
    ("inputs", "out", "message"),
    [
        (["none.jpg"], "out", "none.jpg does not exist"),
        (["*.webp"], "out", "no image matches"),
        (["."], ".", "both input and output"),
        (["a.png"], ".", "would overwrite the image"),
        (["a.png"], "a.png", "is a file, not a folder"),
    ],
)
def test_mistakes_are_one_line(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    inputs: list[str],
    out: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    make_image(SMALL).save("a.png")
    before = Path("a.png").read_bytes()
    assert predict(model, Path(out), *inputs) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert message in error[-1]
    assert error[-1].startswith("pan: ")
    assert Path("a.png").read_bytes() == before


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for split, count in (("train", 1), ("val", 3)):
        (tmp_path / "data" / "images" / split).mkdir(parents=True)
        (tmp_path / "data" / "masks" / split).mkdir(parents=True)
        for i in range(count):
            make_image((40 + i, 50)).save(tmp_path / "data" / "images" / split / f"{i}.png")
            mask = rng.choice(np.uint8([0, 1, 2, 255]), (50, 40 + i))
            Image.fromarray(mask).save(tmp_path / "data" / "masks" / split / f"{i}.png")
    (tmp_path / "data" / "dataset.yaml").write_text("names: [ground, box, disc]\n")
    return tmp_path / "data"


def test_eval_writes_the_numbers_and_the_images(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers, report = tmp_path / "numbers.json", tmp_path / "report"
    words = ["eval", str(data), "--model", str(model), "--json", str(numbers), "--report", str(report)]
    assert main([*words, "--device", "cpu"]) == 0
    said = json.loads(numbers.read_text())
    assert set(said) == {
        "miou",
        "pixel_accuracy",
        "mean_accuracy",
        "frequency_weighted_iou",
        "images",
        "pixels",
        "per_class",
        "confusion",
    }
    labelled = [np.asarray(Image.open(p)) for p in (data / "masks" / "val").iterdir()]
    assert np.sum(said["confusion"]) == said["pixels"] == sum((mask != 255).sum() for mask in labelled)
    rows = [sum((mask == c).sum() for mask in labelled) for c in range(3)]
    assert np.sum(said["confusion"], axis=1).tolist() == rows
    assert list(said["per_class"]) == ["ground", "box", "disc"]
    assert set(said["per_class"]["box"]) == {"iou", "accuracy", "pixels"}
    assert said["images"] == 3
    assert said == evaluate(data, model, device="cpu").metrics()
    assert {path.name for path in report.iterdir()} - {".pan-results"} == {
        "confusion.png",
        "worst_best.png",
        "per_class.md",
    }
    printed = capsys.readouterr().out
    assert "mIoU" in printed
    assert "disc" in printed


def test_eval_with_tta_and_boundaries(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers, report = tmp_path / "numbers.json", tmp_path / "report"
    words = ["eval", str(data), "--model", str(model), "--json", str(numbers), "--report", str(report)]
    assert main([*words, "--tta", "--boundary", "--device", "cpu"]) == 0
    said = json.loads(numbers.read_text())
    samples = open_dataset(data).split("val")
    expected = evaluate_samples(Segmenter.load(model, device="cpu", tta=True), samples, boundary=True)
    assert said == expected.metrics()
    assert said["confusion"] != evaluate(data, model, device="cpu").metrics()["confusion"]
    assert set(said["per_class"]["box"]) == {"iou", "boundary_iou", "accuracy", "pixels"}
    of_classes = [entry["boundary_iou"] for entry in said["per_class"].values()]
    assert said["boundary_iou"] == pytest.approx(np.mean(of_classes))
    for text in (capsys.readouterr().out, (report / "per_class.md").read_text()):
        assert "mean boundary IoU" in text
        assert f"{said['per_class']['disc']['boundary_iou']:.2%}" in text


def test_eval_counts_what_the_segmenter_says(model: Path, data: Path) -> None:
    segmenter = Segmenter.load(model, device="cpu")
    expected = np.zeros((3, 3), int)
    for path in (data / "images" / "val").iterdir():
        mask = np.asarray(Image.open(data / "masks" / "val" / path.name))
        for truth, prediction in zip(mask.ravel(), segmenter(path).labels.ravel(), strict=True):
            if truth != 255:
                expected[truth, prediction] += 1
    assert evaluate(data, segmenter).metrics()["confusion"] == expected.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--split", "vall"], "no split 'vall'. Did you mean 'val'"),
        (["--format", "vok"], "no format 'vok'. Did you mean 'voc'"),
        (["--device", "gpu"], "no device 'gpu'"),
    ],
)
def test_mistakes_in_eval_are_one_line(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], change: list[str], message: str
) -> None:
    assert main(["eval", str(data), "--model", str(model), *change]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.strip().splitlines()[-1].startswith("pan: ")


def test_a_model_of_other_classes_is_refused(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "dataset.yaml").write_text("names: [ground, box, disc, star]\n")
    assert main(["eval", str(data), "--model", str(model), "--device", "cpu"]) == 2
    assert "the model has 3 classes but the data set 4" in capsys.readouterr().err
