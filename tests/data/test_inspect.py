"""`pan data inspect`: what a data set is said to hold, every fault at once, twins between splits, the suggestions."""

import io
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pyramid_attention.classes import IGNORE, ClassTable
from pyramid_attention.cli import main
from pyramid_attention.cli.options import parse_fields
from pyramid_attention.data import Dataset, FileSample, open_dataset
from pyramid_attention.data.advice import median_frequency_weights, suggest
from pyramid_attention.data.duplicates import DISTANCE, Candidate, Look, find_duplicates, group_alike
from pyramid_attention.data.inspect import Finding, SplitInspection, choose_shown, inspect_dataset
from pyramid_attention.errors import MissingExtra, UserError
from pyramid_attention.images import read_image
from pyramid_attention.report.inspection import class_table, remark_lines, split_line
from pyramid_attention.training import load_recipe
from pyramid_attention.training.recipe_files import built_in_crops
from support import CAMVID

STEEL = CAMVID.parent / "fields" / "steel"

CROPS = built_in_crops()


def make_image(seed: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A random landscape: smooth, so that it survives being scaled and encoded."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def plant(
    root: Path,
    split: str,
    name: str,
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8] | None = None,
    suffix: str = "png",
) -> None:
    """An image and its mask (all background where none is given) in the folder format."""
    for kind, pixels, ending in (
        ("images", image, suffix),
        ("masks", np.zeros(image.shape[:2], np.uint8) if mask is None else mask, "png"),
    ):
        file = root / kind / split / f"{name}.{ending}"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)


def name_classes(root: Path, *names: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.yaml").write_text(f"names: [{', '.join(names)}]\n")
    return root


def small_set(root: Path) -> Path:
    """Three training images of two sizes and one to validate on; "cat" is in two of them, "dog" in none."""
    name_classes(root, "ground", "cat", "dog")
    mask = np.zeros((48, 64), np.uint8)
    plant(root, "train", "a", make_image(1), mask)
    mask[:12] = 1
    plant(root, "train", "b", make_image(2), mask)
    mask[12:24] = IGNORE
    plant(root, "train", "c", make_image(3), mask)
    plant(root, "val", "d", make_image(4, 40, 100), np.ones((40, 100), np.uint8))
    return root


# What is counted


def test_sizes_shares_and_images_are_counted(tmp_path: Path) -> None:
    train, val = inspect_dataset(open_dataset(small_set(tmp_path))).splits
    np.testing.assert_allclose(train.shares, [2.25 / 3, 0.5 / 3, 0, 0.25 / 3])
    assert train.images.tolist() == [3, 2, 0, 1]
    assert train.sizes == {(48, 64): 3}
    assert val.median_size == (40, 100)
    np.testing.assert_allclose(val.shares, [0, 1, 0, 0])


def test_the_table_holds_every_class_and_void(tmp_path: Path) -> None:
    inspection = inspect_dataset(open_dataset(small_set(tmp_path)))
    assert class_table(inspection) == [
        ["id", "class", "train", "images", "val", "images"],
        ["0", "ground", "75.00%", "3", "0.00%", "0"],
        ["1", "cat", "16.67%", "2", "100.00%", "1"],
        ["2", "dog", "0.00%", "0", "0.00%", "0"],
        ["–", "void", "8.33%", "1", "0.00%", "0"],
    ]
    assert list(remark_lines(inspection)) == [
        "note: no image of train shows dog",
        "note: no image of val shows ground, dog",
    ]


def test_the_line_of_a_split_says_its_sizes(tmp_path: Path) -> None:
    root = small_set(tmp_path)
    plant(root, "train", "e", make_image(5, 96, 50))
    train, val = inspect_dataset(open_dataset(root)).splits
    assert split_line(train) == "train: 4 images, 50 to 64 wide and 48 to 96 high, most often 64×48 (75%)"
    assert split_line(val) == "val: 1 image, all 100×40"
    assert train.median_size == (48, 64)


def test_only_the_splits_asked_for_are_looked_at(tmp_path: Path) -> None:
    dataset = open_dataset(small_set(tmp_path))
    done: list[None] = []
    inspection = inspect_dataset(dataset, ["val", "val"], lambda: done.append(None))
    assert [split.name for split in inspection.splits] == ["val"]
    assert len(done) == 1
    with pytest.raises(UserError, match=r"no split 'vla'\. Did you mean 'val'"):
        inspect_dataset(dataset, ["vla"])


# What is wrong


def test_every_fault_is_told_not_only_the_first(tmp_path: Path) -> None:
    root = small_set(tmp_path)
    for name in "efgh":
        plant(root, "train", name, make_image(ord(name)))
    (root / "images/train/e.png").write_bytes(b"no image")
    Image.fromarray(np.zeros((48, 63), np.uint8)).save(root / "masks/train/f.png")
    Image.fromarray(np.full((48, 64), 9, np.uint8)).save(root / "masks/train/g.png")
    cut = (root / "images/train/h.png").read_bytes()
    (root / "images/train/h.png").write_bytes(cut[: len(cut) // 2])
    (root / "masks/val/d.png").write_bytes(b"")
    inspection = inspect_dataset(open_dataset(root))
    faults = {(split, name): text for split, name, text in inspection.faults}
    assert sorted(faults) == [("train", "e"), ("train", "f"), ("train", "g"), ("train", "h"), ("val", "d")]
    assert len(inspection.faults) == 5  # that an image is no image is said once, not of its mask too
    assert "63×48 pixels but its image" in faults["train", "f"]
    assert "ids that are no class: 9" in faults["train", "g"]
    assert "is damaged" in faults["train", "h"]
    report = inspection.to_dict()["splits"]
    assert report["train"]["readable"] == 3
    assert report["val"]["classes"]["cat"] == {"pixels": 0, "share": 0.0, "images": 0}
    assert report["val"]["sizes"]["median"] == (40, 100)


def test_a_missing_package_is_no_fault_of_the_samples() -> None:
    class Sample:
        name = "a"

        def read_image(self) -> NDArray[np.uint8]:
            return make_image(0)

        def read_mask(self) -> NDArray[np.uint8]:
            raise MissingExtra("needs scipy")

    with pytest.raises(MissingExtra):
        inspect_dataset(Dataset("voc", None, ClassTable.of(2), {"train": [Sample()]}))


def test_a_data_set_without_one_readable_file_is_still_reported(tmp_path: Path) -> None:
    root = name_classes(tmp_path / "set", "ground", "cat")
    plant(root, "train", "a", make_image(0))
    for file in root.rglob("*.png"):
        file.write_bytes(b"broken")
    assert main(["data", "inspect", str(root), "--json", str(tmp_path / "i.json"), "--out", str(tmp_path / "out")]) == 2
    found = json.loads((tmp_path / "i.json").read_text())
    assert [fault["name"] for fault in found["faults"]] == ["a", "a"]
    assert found["splits"]["train"]["sizes"] == {"median": None, "most_common": []}
    assert found["advice"]["class_weights"] is None
    assert not list((tmp_path / "out").iterdir())


# Duplicates


def seen(split: str, *images: NDArray[np.uint8], file: Path | None = None) -> list[Candidate]:
    return [Candidate(split, str(number), file, Look.of(image)) for number, image in enumerate(images)]


def encoded(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


def test_the_same_pixels_and_nearly_the_same_are_found() -> None:
    train = [make_image(seed, 96, 128) for seed in range(20)]
    half = np.array(Image.fromarray(train[3]).resize((64, 48), Image.Resampling.BICUBIC))
    brighter = (0.8 * train[5] + 40).astype(np.uint8)
    found = find_duplicates(
        seen("train", *train), seen("val", train[7], make_image(99), half, brighter, encoded(train[9], 40))
    )
    assert [(one.kind, one.first, one.second) for one in found] == [
        ("pixels", ("train", "7"), ("val", "0")),
        ("near", ("train", "3"), ("val", "2")),
        ("near", ("train", "5"), ("val", "3")),
        ("near", ("train", "9"), ("val", "4")),
    ]
    assert all(one.distance <= DISTANCE for one in found)


def test_one_file_in_two_lists_is_told_from_a_copy() -> None:
    image = make_image(0)
    both = find_duplicates(seen("train", image, file=Path("a.jpg")), seen("trainval", image, file=Path("a.jpg")))
    assert [one.kind for one in both] == ["file"]
    copy = find_duplicates(seen("train", image, file=Path("a.jpg")), seen("val", image, file=Path("b.jpg")))
    assert [one.kind for one in copy] == ["pixels"]


def test_small_things_on_a_plain_ground_are_not_taken_for_one_another() -> None:
    def dot(row: int, column: int) -> NDArray[np.uint8]:
        image = np.full((80, 90, 3), 240, np.uint8)
        image[row : row + 6, column : column + 6] = 30
        return image

    dots = [dot(row, column) for row in (12, 42, 72) for column in (12, 42, 72)]
    hashes = [Look.of(image).bits for image in dots]
    assert bin(int(hashes[0] ^ hashes[8])).count("1") <= DISTANCE  # their hashes alone do not tell them apart
    assert not find_duplicates(seen("train", *dots[:4]), seen("val", *dots[4:]))
    plain = [np.full((20, 20, 3), value, np.uint8) for value in (0, 200)]
    assert not find_duplicates(seen("train", plain[0]), seen("val", plain[1]))


def test_pixels_in_another_shape_are_another_image() -> None:
    image = np.arange(360, dtype=np.uint8).reshape(10, 12, 3)
    assert Look.of(image).digest != Look.of(image.reshape(12, 10, 3)).digest
    assert Look.of(image).digest == Look.of(np.asfortranarray(image)).digest


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=8), st.integers(0, 2**64 - 1))
def test_the_nearest_hash_is_found_as_bit_by_bit(hashes: list[int], other: int) -> None:
    """Thumbnails that all correlate, so that hashes alone decide."""
    like = np.ones(72, np.float32) / np.sqrt(72)
    plain = np.zeros((16, 64), np.float16), np.zeros(16, np.bool_)
    first = [
        Candidate("a", str(k), None, Look(bytes([k]), np.uint64(bits), like, *plain)) for k, bits in enumerate(hashes)
    ]
    near = hashes[0] ^ (1 << other % 64) ^ (1 << other % 61)
    for bits in (other, near):
        distances = [bin(bits ^ one).count("1") for one in hashes]
        found = find_duplicates(first, [Candidate("b", "x", None, Look(b"x" * 16, np.uint64(bits), like, *plain))])
        nearest = min(distances)
        if nearest > DISTANCE:
            assert not found
        else:
            assert (found[0].distance, found[0].first[1]) == (nearest, str(distances.index(nearest)))


@pytest.mark.skipif(not CAMVID.exists(), reason="CamVid is not here")
def test_neighbouring_frames_of_camvid_are_no_duplicates() -> None:
    dataset = open_dataset(CAMVID)
    some = {name: list(dataset.split(name))[::10] for name in ("train", "val")}
    inspection = inspect_dataset(Dataset("camvid", CAMVID, dataset.classes, some))
    assert not inspection.duplicates
    assert not inspection.faults


@pytest.mark.skipif(not STEEL.exists(), reason="the images of steel are not here")
def test_on_a_real_set_of_plain_sheets_the_pairs_that_are_the_same_are_found_and_no_other() -> None:
    """The five were looked at one by one, and so were the five nearest of the others."""
    names = sorted(path.name for path in (STEEL / "images/training").glob("*.jpg"))
    looks = [Look.of(read_image(STEEL / "images/training" / name)) for name in names]
    pairs = {(names[head][:-4], name[:-4]) for name, head in zip(names, group_alike(looks), strict=True)}
    assert {pair for pair in pairs if pair[0] != pair[1]} == {
        ("000297", "003897"),
        ("001702", "002587"),
        ("002050", "004052"),
        ("002572", "003457"),
        ("002914", "004127"),
    }


def test_a_common_frame_and_common_light_make_no_duplicates() -> None:
    """As retinas have: the same disc, lit from one side, with other vessels in each."""
    rows, columns = np.mgrid[:96, :96]
    inside = (rows - 48) ** 2 + (columns - 48) ** 2 < 45**2
    images = []
    for seed in range(8):
        generator = np.random.default_rng(seed)
        light = 140 - 0.6 * columns + generator.normal(0, 4, (96, 96))
        for row, slope in generator.uniform((10, -1), (86, 1), (8, 2)):
            light[abs(rows - row - slope * (columns - 48)) < 1.5] -= 25
        images.append(np.repeat(np.where(inside, light, 0).astype(np.uint8)[:, :, None], 3, axis=2))
    assert group_alike([Look.of(image) for image in images]) == list(range(8))
    encoded_anew = [Look.of(encoded(image, 60)) for image in images]
    assert group_alike([*map(Look.of, images), *encoded_anew]) == [*range(8), *range(8)]


# The sheet


def test_the_chosen_samples_show_every_class(tmp_path: Path) -> None:
    root = name_classes(tmp_path, *"abcdefgh")
    for number in range(16):
        mask = np.zeros((48, 64), np.uint8)
        mask[:10] = number % 2
        if number >= 10:
            mask[20:] = number - 8
        mask[-1, -1] = 2  # everywhere, but hardly to be seen
        plant(root, "train", f"{number:02}", make_image(number), mask)
    inspection = inspect_dataset(open_dataset(root))
    chosen = choose_shown(inspection)
    visible = set[int]()
    for split, sample in chosen:
        assert split == "train"
        visible |= {label for label, count in enumerate(np.bincount(sample.read_mask().ravel())) if count > 10}
    assert visible == set(range(8))
    assert len(chosen) == 6  # those of 2 … 7 show the classes 0 and 1 too
    assert len(choose_shown(inspection, most=3)) == 6
    assert len(choose_shown(inspection, most=3, least=0)) == 3
    assert len({sample.name for _, sample in choose_shown(inspection, least=16)}) == 16


# Suggestions


def split_of(counts: list[list[int]], name: str = "train") -> SplitInspection:
    """A split of masks with so many pixels of each class, void last."""
    sample = FileSample("a", Path("a"), Path("a"), np.zeros(1, np.int16))
    findings = [Finding(sample, (10, 10), None, np.array(row, dtype=np.int64), ()) for row in counts]
    return SplitInspection(name, findings, len(counts[0]) - 1)


def test_weights_by_hand() -> None:
    """Two images of 100 pixels: class 0 has 150 of 200, class 1 20 of 100, class 2 10 of 100, class 3 none."""
    weights = median_frequency_weights(split_of([[80, 20, 0, 0, 0], [70, 0, 10, 0, 20]]))
    assert weights == (pytest.approx(0.2 / 0.75, abs=5e-4), 1.0, 2.0, 1.0)


@given(st.lists(st.lists(st.integers(0, 1000), min_size=4, max_size=4), min_size=1, max_size=5))
def test_weights_agree_with_a_loop(counts: list[list[int]]) -> None:
    frequencies = {}
    for label in range(3):
        holding = [row for row in counts if row[label]]
        if holding:
            frequencies[label] = sum(row[label] for row in holding) / sum(map(sum, holding))
    weights = median_frequency_weights(split_of(counts))
    if not frequencies:
        assert weights is None
        return
    assert weights is not None
    median = np.median(list(frequencies.values()))
    for label in range(3):
        expected = median / frequencies[label] if label in frequencies else 1
        assert weights[label] == pytest.approx(max(expected, 0.001), abs=5.1e-4)


@pytest.mark.parametrize(
    ("size", "crop"), [((400, 500), (256, 256)), ((100, 500), (96, 256)), ((383, 31), (256, 32)), ((5, 4), (32, 32))]
)
def test_the_crop_is_not_larger_than_the_median_image(
    tmp_path: Path, size: tuple[int, int], crop: tuple[int, int]
) -> None:
    root = name_classes(tmp_path / "my data", "ground", "cat")
    plant(root, "train", "a", make_image(0, *size))
    plant(root, "train", "b", make_image(1, *size))
    plant(root, "train", "c", make_image(2, 600, 600))
    plant(root, "val", "d", make_image(3, 600, 600))
    advice = suggest(inspect_dataset(open_dataset(root)), CROPS, str(root))
    assert (advice.recipe, advice.crop, advice.val_split) == ("finetune", crop, "val")
    words = shlex.split(advice.command)
    assert words[:5] == ["pan", "train", str(root), "--recipe", "finetune"]
    assert load_recipe("finetune", parse_fields(words[6::2])).data.crop == crop
    assert advice.weights_option is not None
    with_weights = load_recipe("finetune", parse_fields(shlex.split(advice.weights_option)[1:]))
    assert with_weights.train.class_weights == advice.class_weights


def test_without_val_the_command_makes_one(tmp_path: Path) -> None:
    root = name_classes(tmp_path, "ground", "cat")
    plant(root, "train", "a", make_image(0))
    advice = suggest(inspect_dataset(open_dataset(root)), CROPS, "set/", "folder")
    assert advice.command == "pan data convert set/ set-split --format folder --val 0.2"


def test_the_copy_that_is_suggested_lies_beside_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = name_classes(tmp_path / "set", "ground", "cat")
    plant(root, "train", "a", make_image(0))
    (root / "list.csv").touch()
    monkeypatch.chdir(root)
    inspection = inspect_dataset(open_dataset(root))
    for data in (".", "list.csv", str(root / "list.csv")):
        words = shlex.split(suggest(inspection, CROPS, data).command)
        assert words[:5] == ["pan", "data", "convert", data, str(tmp_path / "set-split")]


@pytest.mark.parametrize(
    ("format", "names", "splits", "command"),
    [
        ("voc", None, ("train", "val", "trainval", "train_aug"), "--recipe voc --set data.train_split=train_aug"),
        ("voc", ("ground", "cat"), ("train", "val"), "--recipe finetune"),
        ("cityscapes", None, ("train", "val"), "--recipe cityscapes"),
        ("camvid", None, ("train", "val"), "--recipe camvid"),
        ("coco", None, ("train", "val"), "--recipe finetune"),
    ],
)
def test_a_benchmark_gets_its_recipe(
    format: str, names: tuple[str, ...] | None, splits: tuple[str, ...], command: str
) -> None:
    from pyramid_attention.data.published import VOC as CLASSES

    class Large:
        name = "a"

        def read_image(self) -> NDArray[np.uint8]:
            return np.zeros((800, 800, 3), np.uint8)

        def read_mask(self) -> NDArray[np.uint8]:
            return np.zeros((800, 800), np.uint8)

    classes = CLASSES if names is None else ClassTable.of(names)
    dataset = Dataset(format, Path("x"), classes, {name: [Large()] for name in splits})
    assert suggest(inspect_dataset(dataset), CROPS, "x").command == f"pan train x {command}"


# The verb


def test_the_verb_prints_and_writes_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = small_set(tmp_path / "set")
    plant(root, "val", "twin", make_image(2))
    assert main(["data", "inspect", str(root), "--out", str(tmp_path / "o"), "--json", str(tmp_path / "j/i.json")]) == 0
    text = capsys.readouterr().out
    for part in (
        f"{root}: folder, 3 classes",
        "val: 2 images",
        "16.67%",
        "note: no image of train shows dog",
        "duplicates: 1 image of val is in train too (the same pixels)",
        "  val/twin is train/b",
        f"  pan train {root} --recipe finetune --set 'data.crop=[32,64]'",
        "--set 'train.class_weights=[",
    ):
        assert part in text
    sheet = Image.open(tmp_path / "o/samples.png")
    assert sheet.width == 1650
    found = json.loads((tmp_path / "j/i.json").read_text())
    assert found["splits"]["train"]["classes"]["cat"] == {"pixels": 1536, "share": 1536 / 9216, "images": 2}
    assert found["duplicates"] == [
        {"kind": "pixels", "first": ["train", "b"], "second": ["val", "twin"], "distance": 0}
    ]
    assert found["advice"]["command"].startswith("pan train")
    assert found["faults"] == found["problems"] == []


def test_what_would_corrupt_a_training_ends_with_2_and_all_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = small_set(tmp_path)
    for name in ("a", "b"):
        Image.fromarray(np.full((48, 64), 9, np.uint8)).save(root / f"masks/train/{name}.png")
    assert main(["data", "inspect", str(root)]) == 2
    printed = capsys.readouterr()
    for name in ("a", "b"):
        assert f"problem: train/{name}: {root}/masks/train/{name}.png holds ids that are no class: 9" in printed.out
    assert f"pan: {root} has 2 problems that would corrupt a training" in printed.err


def test_many_problems_are_told_by_kind_with_three_examples_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = name_classes(tmp_path, "ground", "cat")
    for number in range(40):
        plant(root, "train", f"scene {number}", make_image(number, 8, 8))
        path = root / f"masks/train/scene {number}.png"
        if number % 2:
            Image.fromarray(np.full((8, 8), number, np.uint8)).save(path)
        else:
            path.write_bytes(b"no image")
    assert main(["data", "inspect", str(root), "--json", str(tmp_path / "i.json")]) == 2
    printed = capsys.readouterr()
    lines = [line for line in printed.out.splitlines() if line.startswith(("problem:", "  …"))]
    assert [line[:9] for line in lines] == 2 * (3 * ["problem: "] + ["  … and 1"])
    assert {lines[3], lines[7]} == {"  … and 17 more of this kind", "  … and 16 more of this kind"}  # 1 is a class
    assert "has 39 problems" in printed.err
    assert len(json.loads((tmp_path / "i.json").read_text())["faults"]) == 39


def test_what_was_found_and_given_can_be_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "abcdef":
        for folder, pixels in (("in put", make_image(ord(name))), ("gt", np.eye(48, 64, dtype=np.uint8))):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / f"{name}.png")
    assert main(["data", "inspect", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "read as --images 'in put/{id}.png' --masks 'gt/{id}.png'"
    given = shlex.split(lines[1])[2:]
    assert main(["data", "inspect", str(tmp_path), *given, "--val", "0.5"]) == 0
    again = capsys.readouterr().out.splitlines()
    command = next(line for line in again if line.startswith("  pan train"))
    assert "--images 'in put/{id}.png' --masks 'gt/{id}.png' --val 0.5" in command


def test_problems_that_the_reader_found_are_told_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "set"
    for name in ("a", "b"):
        for folder in ("images/train", "labels/train"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(make_image(ord(name))).save(root / f"images/train/{name}.png")
        (root / f"labels/train/{name}.txt").write_text("0 0.5 0.5 0.2 0.2\n")  # a box
    (root / "data.yaml").write_text("train: images/train\nval: images/train\nnames: [cat]\n")
    assert main(["data", "inspect", str(root), "--json", str(tmp_path / "i.json")]) == 2
    found = json.loads((tmp_path / "i.json").read_text())
    assert found["problems"]
    text = capsys.readouterr().out
    assert all(f"problem: {problem}\n" in text for problem in found["problems"])
    assert "duplicates: 2 images of val are in train too (the same file)\n" in text


def test_many_near_duplicates_are_counted_and_some_named(tmp_path: Path) -> None:
    root = name_classes(tmp_path, "ground", "cat")
    for number in range(7):
        image = make_image(number, 96, 128)
        plant(root, "train", f"frame{number}", image)
        plant(root, "val", f"next{number}", encoded(image, 50))
    _, _, first, *named, last = remark_lines(inspect_dataset(open_dataset(root)))
    assert first.startswith("duplicates: 7 images of val are in train too (nearly the same; are they frames of one")
    assert named == [f"  val/next{number} looks like train/frame{number}" for number in range(3)]
    assert last == "  … and 4 more"


def test_names_in_brackets_are_printed_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = name_classes(tmp_path, "ground", "'[red]cat'")
    plant(root, "train", "a", make_image(0))
    assert main(["data", "inspect", str(root)]) == 0
    assert "[red]cat" in capsys.readouterr().out


def test_the_synthetic_images_can_be_inspected() -> None:
    inspection = inspect_dataset(open_dataset("shapes", train=3, val=2, test=0))
    assert [len(split.findings) for split in inspection.splits] == [3, 2, 0]
    assert suggest(inspection, CROPS, "shapes").command == "pan train shapes --recipe shapes"
    assert inspection.to_dict()["root"] is None
