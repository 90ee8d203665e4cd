"""`pan data convert`: the copy holds the same pixels, its splits are always the same, and nothing is overwritten."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pyramid_attention.classes import ClassTable
from pyramid_attention.cli import main
from pyramid_attention.data import Dataset, Reading, open_dataset
from pyramid_attention.data.convert import MARKER, convert_dataset
from pyramid_attention.data.holdout import choose_groups, group_names
from pyramid_attention.data.published import CAMVID as CLASSES
from pyramid_attention.errors import SomeFailed, UserError
from support import OWNING, WRITING, end, other_process

IDS = np.array([[0, 1, 10, 11], [255, 2, 3, 4], [5, 6, 7, 8]], np.uint8)
"""A mask as CamVid has it: every kind of id, 11 and 255 being void."""


def camvid(root: Path, **splits: Sequence[str]) -> Path:
    """CamVid's layout with images of 4×3 pixels, each another, under the names given for each split."""
    for split, names in splits.items():
        for number, name in enumerate(names):
            pixels = np.random.default_rng([number, len(split)]).integers(0, 256, (3, 4, 3), dtype=np.uint8)
            for folder, image in ((split, pixels), (f"{split}annot", IDS)):
                (root / folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(root / folder / f"{name}.png")
    return root


def names(root: Path) -> dict[str, list[str]]:
    return {split: [sample.name for sample in samples] for split, samples in open_dataset(root).splits.items()}


def divided(root: Path, val: float, group: str | None = None) -> Dataset:
    return open_dataset(root, reading=Reading(val=val, group=group))


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    """What each file holds and when it was written."""
    return {
        path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file() and path.name != MARKER
    }


# What the copy holds


def test_the_copy_reads_as_the_original(tmp_path: Path) -> None:
    source = camvid(tmp_path / "set", train=["a", "b"], val=["c"])
    conversion = convert_dataset(open_dataset(source), tmp_path / "copy")
    conversion.check()
    assert conversion.done == {"train": 2, "val": 1}
    copy = open_dataset(tmp_path / "copy")
    assert copy.format == "folder"
    assert (copy.classes.names, copy.classes.colours) == (CLASSES.names, CLASSES.colours)
    assert not copy.notes
    for split, samples in open_dataset(source).splits.items():
        for before, after in zip(samples, copy.split(split), strict=True):
            assert before.name == after.name
            assert np.array_equal(before.read_image(), after.read_image())
            assert np.array_equal(before.read_mask(), after.read_mask())
    assert copy.split("val")[0].read_mask().tolist() == [[0, 1, 10, 255], [255, 2, 3, 4], [5, 6, 7, 8]]
    assert (tmp_path / "copy/images/val/c.png").read_bytes() == (source / "val/c.png").read_bytes()
    mask = Image.open(tmp_path / "copy/masks/val/c.png")
    assert mask.mode == "P"
    assert mask.convert("RGB").getpixel((2, 0)) == CLASSES.colours[10]


def test_the_synthetic_images_become_files(tmp_path: Path) -> None:
    dataset = open_dataset("shapes", train=2, val=1, test=0, size=32)
    convert_dataset(dataset, tmp_path).check()
    copy = open_dataset(tmp_path)
    assert list(copy.splits) == ["train", "val"]
    assert np.array_equal(copy.split("train")[1].read_image(), dataset.split("train")[1].read_image())


class Drawn:
    """A sample in no file of its own."""

    def __init__(self, name: str) -> None:
        self.name = name

    def read_image(self) -> NDArray[np.uint8]:
        return np.zeros((3, 4, 3), np.uint8)

    def read_mask(self) -> NDArray[np.uint8]:
        return np.zeros((3, 4), np.uint8)


class InFile(Drawn):
    def __init__(self, image: Path) -> None:
        super().__init__(image.stem)
        self.image = image

    def read_image(self) -> NDArray[np.uint8]:
        from pyramid_attention.images import read_image

        return read_image(self.image)


def dataset_of(*samples: Drawn, problems: tuple[str, ...] = ()) -> Dataset:
    return Dataset("made", None, ClassTable.of(["no", "1: #x", "été"]), {"val": samples}, problems=problems)


@pytest.mark.parametrize(
    ("mode", "suffix", "copied"),
    [
        ("RGB", ".jpg", True),
        ("L", ".PNG", True),
        ("RGB", ".jfif", False),
        ("I;16", ".png", False),
        ("P", ".gif", False),
    ],
)
def test_ordinary_images_are_copied_others_written_as_png(tmp_path: Path, mode: str, suffix: str, copied: bool) -> None:
    file = tmp_path / f"a{suffix}"
    Image.fromarray(np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000).convert(mode).save(file)
    sample = InFile(file)
    convert_dataset(dataset_of(sample), tmp_path / "copy").check()
    (written,) = (tmp_path / "copy/images/val").iterdir()
    assert written.name == (file.name if copied else "a.png")
    assert (written.read_bytes() == file.read_bytes()) == copied
    assert np.array_equal(open_dataset(tmp_path / "copy").split("val")[0].read_image(), sample.read_image())
    convert_dataset(dataset_of(sample), tmp_path / "copy").check()  # and it knows them again


def test_names_that_yaml_could_misread_stay_names(tmp_path: Path) -> None:
    convert_dataset(dataset_of(Drawn("x.1"), Drawn("sub/ü b")), tmp_path).check()
    copy = open_dataset(tmp_path)
    assert copy.classes.names == ("no", "1: #x", "été")
    assert names(tmp_path) == {"val": ["sub/ü b", "x.1"]}


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "a/../b", ".hidden", "", "sub/.hidden"])
def test_no_name_leads_out_of_the_copy(tmp_path: Path, name: str) -> None:
    conversion = convert_dataset(dataset_of(Drawn("good"), Drawn(name)), tmp_path / "x/copy")
    assert conversion.done == {"val": 1}
    with pytest.raises(SomeFailed, match=r"1 of 2 images failed, the others are done: .*cannot be the name"):
        conversion.check()
    found = [path.name for path in tmp_path.rglob("*.png")]
    assert found == ["good.png", "good.png"]


# Splits


def hold_out_groups(groups: list[str], share: float) -> list[bool]:
    chosen = choose_groups(groups, share)
    return [group in chosen for group in groups]


@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=30),
    share=st.floats(0.01, 0.99),
    order=st.randoms(use_true_random=False),
)
def test_groups_stay_whole_and_the_share_is_near(sizes: list[int], share: float, order: object) -> None:
    groups = [f"video {number}" for number, size in enumerate(sizes) for _ in range(size)]
    held = hold_out_groups(groups, share)
    parts = {flag: {group for group, out in zip(groups, held, strict=True) if out == flag} for flag in (True, False)}
    assert parts[True]
    assert parts[False]
    assert not parts[True] & parts[False]
    assert abs(sum(held) - share * len(groups)) <= max(sizes)
    shuffled = list(range(len(groups)))
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert [held[k] for k in shuffled] == hold_out_groups([groups[k] for k in shuffled], share)


def test_a_long_video_is_not_held_out_where_a_short_one_fits_better() -> None:
    for names in ("abc", "bca", "cab", "xyz"):
        groups = [names[0]] * 62 + [names[1]] * 101 + [names[2]] * 204
        assert {group for group, out in zip(groups, hold_out_groups(groups, 0.2), strict=True) if out} <= set(names[:2])
        assert set(np.flatnonzero(hold_out_groups(groups, 0.05))) == set(range(62))


def test_of_many_small_groups_the_share_is_exact() -> None:
    assert sum(hold_out_groups([str(k) for k in range(1000)], 0.2)) == 200
    assert hold_out_groups(["a", "b"], 0.01).count(True) == 1
    assert hold_out_groups(["a", "b"], 0.99).count(True) == 1


def test_the_division_never_changes() -> None:
    """It must be the same on every machine and in every release, or the resumed half would not fit the first."""
    held = hold_out_groups([f"{k:02}" for k in range(20)], 0.25)
    assert [k for k, out in enumerate(held) if out] == [3, 7, 8, 9, 13]


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [("^[^_]+", ["v1", "v1", "v2"]), (r"_(\d)\d", ["0", "1", "0"]), ("(?:v)(.)", ["1", "1", "2"])],
)
def test_the_group_is_the_first_parenthesis_or_the_whole_match(pattern: str, groups: list[str]) -> None:
    assert group_names(["v1_01", "v1_12", "v2_03"], pattern) == groups


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "is no regular expression"),
        ("^v1", "finds no group in 1 of 2 names, such as 'v2_03'"),
        ("x*", "finds no group in 2 of 2 names"),
        ("v1|(v2)", "finds no group in 1 of 2 names, such as 'v1_01'"),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(UserError) as raised:
        group_names(["v1_01", "v2_03"], pattern)
    assert message in str(raised.value)


def test_val_is_made_of_train_by_video(tmp_path: Path) -> None:
    videos = [f"v{video}_{frame}" for video in range(5) for frame in range(4)]
    source = camvid(tmp_path / "set", train=videos, test=["t"])
    convert_dataset(divided(source, 0.4, "^[^_]+"), tmp_path / "copy").check()
    found = names(tmp_path / "copy")
    assert {split: len(those) for split, those in found.items()} == {"test": 1, "train": 12, "val": 8}
    assert not {name[:2] for name in found["val"]} & {name[:2] for name in found["train"]}
    assert sorted(found["train"] + found["val"]) == videos


@pytest.mark.parametrize(("val", "made"), [(0.1, 1), (0.5, 6), (0.9, 8), (0.0, 0)])
def test_the_share_of_val(tmp_path: Path, val: float, made: int) -> None:
    """By the SHA-256 of the names, of which 1, 7 and 8 lie below the share: 7 is more than one from 5."""
    source = camvid(tmp_path / "set", train=[str(k) for k in range(10)])
    done = convert_dataset(divided(source, val), tmp_path / "copy").done
    assert done == {"train": 10 - made} | ({"val": made} if made else {})


def test_the_copy_has_the_val_that_a_training_on_the_source_has(tmp_path: Path) -> None:
    """Else a model that was trained on the source would be validated on images that it has seen."""
    source = camvid(tmp_path / "set", train=[str(k) for k in range(10)])
    convert_dataset(open_dataset(source), tmp_path / "copy").check()
    assert names(tmp_path / "copy") == names(source)
    by_share = convert_dataset(divided(source, 0.1), tmp_path / "other").done
    assert by_share == {"train": 9, "val": 1}  # whoever names a share asks for another division


def test_one_image_is_not_divided(tmp_path: Path) -> None:
    source = camvid(tmp_path / "set", train=["a"])
    assert convert_dataset(open_dataset(source), tmp_path / "copy").done == {"train": 1}


def refusal(dataset: Dataset, destination: Path) -> str:
    with pytest.raises(UserError) as raised:
        convert_dataset(dataset, destination)
    assert raised.value.exit_code == 2
    return str(raised.value)


def test_splits_that_are_there_are_not_divided_again(tmp_path: Path) -> None:
    source = camvid(tmp_path / "set", train=["a"], val=["b"])
    dataset = divided(source, 0.5, "a")
    assert dataset.notes == ("the data set has the split 'val', so that val= and group= divide nothing",)
    assert convert_dataset(dataset, tmp_path / "copy").done == {"train": 1, "val": 1}


@pytest.mark.parametrize("val", [-0.1, 1.0, 20, float("nan")])
def test_a_share_that_is_none(val: float) -> None:
    with pytest.raises(UserError, match="is the share of the images to validate on, 0 to 1"):
        Reading(val=val)


# Again, and never over anything


def test_an_interrupted_conversion_goes_on(tmp_path: Path) -> None:
    source = camvid(tmp_path / "set", train=[f"{k:02}" for k in range(40)])
    whole = tmp_path / "whole"
    convert_dataset(open_dataset(source), whole).check()
    expected = {path: data for path, (data, _) in contents(whole).items()}
    copy = tmp_path / "copy"
    calls = iter(range(100))

    def interrupt() -> None:
        if next(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_dataset(open_dataset(source), copy, on_done=interrupt)
    images = sorted(copy.rglob("images/*/*.png"))
    assert 4 <= len(images) < 40
    images[0].unlink()  # killed between the mask and the image
    end(other_process(WRITING, copy / "images/train"))  # and while it wrote
    before = contents(copy)
    convert_dataset(open_dataset(source), copy).check()
    after = contents(copy)
    assert {path: data for path, (data, _) in after.items()} == expected
    assert all(after[path] == was for path, was in before.items() if path in after)


@pytest.mark.parametrize("kind", ["images", "masks"])
@pytest.mark.parametrize("what", ["edited", "broken"])
def test_a_file_that_differs_is_left_and_told(tmp_path: Path, kind: str, what: str) -> None:
    source = camvid(tmp_path / "set", val=["a", "b"])
    convert_dataset(open_dataset(source), tmp_path / "copy").check()
    changed = tmp_path / "copy" / kind / "val/a.png"
    if what == "edited":
        Image.fromarray(np.full((3, 4), 1, np.uint8)).save(changed)
    else:
        changed.write_bytes(b"broken")
    before = contents(tmp_path / "copy")
    conversion = convert_dataset(open_dataset(source), tmp_path / "copy")
    assert [name for name, _ in conversion.failed] == ["val/a"]
    assert "is there and not what the conversion would write" in conversion.failed[0][1]
    assert conversion.done == {"val": 1}
    assert contents(tmp_path / "copy") == before


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    dataset = open_dataset(camvid(tmp_path / "set", val=["a"]))
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "notes.txt").write_text("mine")
    assert refusal(dataset, copy) == f"{copy} already holds other files; choose a new folder"
    assert [path.name for path in copy.iterdir()] == ["notes.txt"]
    assert "is a file" in refusal(dataset, copy / "notes.txt")
    (copy / "notes.txt").unlink()
    convert_dataset(dataset, copy).check()
    other = open_dataset(camvid(tmp_path / "other", val=["a"]))
    assert "the conversion of other images" in refusal(other, copy)
    (copy / "dataset.yaml").write_text("names: [a]\n")
    assert "has other classes than" in refusal(dataset, copy)
    (copy / MARKER).write_text("{")
    assert "cannot read" in refusal(dataset, copy)


def test_a_folder_of_hidden_files_is_refused_and_left(tmp_path: Path) -> None:
    dataset = open_dataset(camvid(tmp_path / "set", val=["a"]))
    (tmp_path / "copy/.git").mkdir(parents=True)
    (tmp_path / "copy/.notes.tmp.txt").write_text("mine")
    assert "already holds other files" in refusal(dataset, tmp_path / "copy")
    assert sorted(os.listdir(tmp_path / "copy")) == [".git", ".notes.tmp.txt"]


def test_a_second_conversion_into_a_folder_is_refused(tmp_path: Path) -> None:
    dataset = open_dataset(camvid(tmp_path / "set", val=["a"]))
    first = other_process(OWNING, tmp_path / "copy")
    assert f"is in use by process {first.pid}" in refusal(dataset, tmp_path / "copy")
    end(first)
    convert_dataset(dataset, tmp_path / "copy").check()


def test_another_division_is_not_mixed_into_the_first(tmp_path: Path) -> None:
    source = camvid(tmp_path / "set", train=[str(k) for k in range(10)])
    convert_dataset(divided(source, 0.2), tmp_path / "copy").check()
    assert "or of these in other splits" in refusal(divided(source, 0.5), tmp_path / "copy")
    camvid(source, train=[str(k) for k in range(30)])
    assert "the conversion of other images" in refusal(divided(source, 0.2), tmp_path / "copy")


def test_the_copy_lies_beside_the_data_set(tmp_path: Path) -> None:
    dataset = open_dataset(camvid(tmp_path / "set", val=["a"]))
    for destination in (tmp_path / "set", tmp_path / "set/copy", tmp_path):
        assert "lie in one another" in refusal(dataset, destination)


# Bad input


def test_broken_samples_are_told_at_the_end_and_the_rest_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = camvid(tmp_path / "set", train=["a", "b", "c"], val=["d"])
    (source / "train/a.png").write_bytes(b"no image")
    Image.fromarray(np.full((3, 4), 99, np.uint8)).save(source / "trainannot/c.png")
    assert main(["data", "convert", str(source), str(tmp_path / "copy")]) == 1
    printed = capsys.readouterr()
    assert "train: 1\nval: 1\n" in printed.out
    assert "failed: train/a: " in printed.err
    assert "failed: train/c: " in printed.err
    assert "pan: 2 of 4 images failed, the others are done" in printed.err
    assert names(tmp_path / "copy") == {"train": ["b"], "val": ["d"]}
    camvid(source, train=["a", "b", "c"])  # mended
    assert main(["data", "convert", str(source), str(tmp_path / "copy")]) == 0
    assert names(tmp_path / "copy") == {"train": ["a", "b", "c"], "val": ["d"]}


def test_where_all_are_broken_it_says_so(tmp_path: Path) -> None:
    source = camvid(tmp_path / "set", val=["a", "b"])
    for name in ("a", "b"):
        (source / f"val/{name}.png").write_bytes(b"")
    with pytest.raises(UserError, match="all 2 images failed: ") as raised:
        convert_dataset(open_dataset(source), tmp_path / "copy").check()
    assert raised.value.exit_code == 2


def test_problems_that_a_copy_would_hide_stop_it(tmp_path: Path) -> None:
    dataset = dataset_of(Drawn("a"), problems=("boxes have no outline", "two masks"))
    assert refusal(dataset, tmp_path / "copy") == (
        "boxes have no outline … and 1 more problems; pan data inspect lists them all"
    )
    assert not (tmp_path / "copy").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    dataset = open_dataset(camvid(tmp_path / "set", val=["a"]))
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "closed" in refusal(dataset, tmp_path / "closed/copy")


def test_what_cannot_be_written_stops_at_once(tmp_path: Path) -> None:
    dataset = open_dataset(camvid(tmp_path / "set", val=["a"]))
    copy = tmp_path / "copy"
    convert_dataset(dataset, copy).check()
    (copy / "images/val/a.png").unlink()
    (copy / "images/val").rmdir()
    (copy / "images/val").write_text("a file in the way")
    assert "images/val is a file, not a folder" in refusal(dataset, copy)


# The verb


def test_the_verb_makes_a_copy_that_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = camvid(tmp_path / "set", train=[f"v{k % 5}_{k}" for k in range(10)])
    arguments = ["data", "convert", str(source), str(tmp_path / "my copy"), "--val", "0.4", "--group", "^[^_]+"]
    assert main([*arguments, "--format", "camvid"]) == 0
    text = capsys.readouterr().out
    assert "train: 6\nval: 4\n" in text
    assert f"pan data inspect '{tmp_path}/my copy'" in text
    assert {split: len(those) for split, those in names(tmp_path / "my copy").items()} == {"train": 6, "val": 4}


def test_where_nothing_was_copied_no_copy_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = camvid(tmp_path / "set", val=["a"])
    (source / "valannot" / "a.png").write_bytes(b"")
    assert main(["data", "convert", str(source), str(tmp_path / "copy")]) == 2
    assert "the copy is in" not in capsys.readouterr().out


def test_a_link_to_itself_is_no_destination(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = camvid(tmp_path / "set", val=["a"])
    (tmp_path / "loop").symlink_to("loop")
    for destination in (tmp_path / "loop", tmp_path / "loop" / "x"):
        assert main(["data", "convert", str(source), str(destination)]) == 2
        assert str(destination) in capsys.readouterr().err
