"""Trees in arrangements that no table of the engine holds: each is read rightly, or the line that is shown reads it so.

A wrong truth is worse than none, so where two readings are near to one another nothing is read: the test then takes
the patterns out of the message, as a user would, and checks every mask against what was drawn.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pyramid_attention.data import Dataset, Reading, open_dataset
from pyramid_attention.data.finding import Finder
from pyramid_attention.data.tree import Tree
from pyramid_attention.errors import UserError

HEIGHT, WIDTH, COUNT = 48, 64, 8
COLOURS = np.array([(60, 16, 152), (110, 193, 228), (132, 41, 246)], np.uint8)
Pixels = NDArray[np.generic]


def truth(i: int) -> NDArray[np.uint8]:
    """Three classes: ground, a rectangle and a disc, elsewhere in each image."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5 + 2 * i : 20 + 2 * i, 3 + i : 25 + 2 * i] = 1
    mask[(rows - 30 + i) ** 2 + (columns - 50 + 2 * i) ** 2 < 90] = 2
    return mask


def image(i: int) -> Pixels:
    """What a camera makes of it: gradients and noise, brighter where things are."""
    noise = np.random.default_rng(i).normal(0, 9, (HEIGHT, WIDTH, 3))
    light = np.linspace(40, 120, WIDTH)[None, :, None] + 30 * truth(i)[:, :, None] * (1, 0.7, 0.4)
    return np.clip(light + noise, 0, 255).astype(np.uint8)


def dark(i: int) -> Pixels:
    """Fluorescence: nearly black, but for a few bright things, in grey."""
    grey = np.random.default_rng(i).normal(8, 2, (HEIGHT, WIDTH)) + soft(i) * (150 / 255)
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def binary(i: int) -> NDArray[np.uint8]:
    return (truth(i) > 0).astype(np.uint8)


def black_and_white(i: int) -> NDArray[np.uint8]:
    return binary(i) * np.uint8(255)


def soft(i: int) -> Pixels:
    return np.asarray(Image.fromarray(black_and_white(i)).filter(ImageFilter.GaussianBlur(3)))


def edges(i: int) -> Pixels:
    return np.asarray(Image.fromarray(black_and_white(i)).filter(ImageFilter.FIND_EDGES))


def field_of_view(i: int) -> Pixels:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.where((rows - 24) ** 2 + (columns - 32) ** 2 < 23**2, 255, 0).astype(np.uint8)


def depth(i: int) -> Pixels:
    return (np.add.outer(np.arange(HEIGHT) * 90, np.arange(WIDTH) * 20) + 7 * i).astype(np.uint16)


def other_camera(i: int) -> Pixels:
    return np.roll(image(i), 5, axis=1)


def blend(i: int) -> Pixels:
    return (0.6 * image(i) + 0.4 * COLOURS[truth(i)]).astype(np.uint8)


def drawn_wider(i: int) -> Pixels:
    return np.asarray(Image.fromarray(black_and_white(i)).filter(ImageFilter.MaxFilter(3)))


def in_colours(i: int) -> Pixels:
    return COLOURS[truth(i)]


def in_alpha(i: int) -> Pixels:
    return np.dstack([in_colours(i), np.full((HEIGHT, WIDTH), 200 + i, np.uint8)])


def sixteen_bits(i: int) -> Pixels:
    return truth(i).astype(np.uint16) * 1000 + 24


def save(path: Path, pixels: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


Kind = Callable[[int], Pixels]
Files = dict[str, Kind]
"""What is drawn at each path, in which {i} is the number of the image."""
READ: dict[str, tuple[Files, Kind]] = {
    "an odd ending, beside the image": ({"IMG_12{i:02}.JPG": image, "IMG_12{i:02}_gtruth.PNG": truth}, truth),
    "blanks and letters beyond ASCII": (
        {"Straße 1/Größe {i}.jpg": image, "Straße 1/Größe {i} – Klassen.png": truth},
        truth,
    ),
    "zeros before numbers": ({"x/{i}.jpg": image, "y/{i:04}.png": truth}, truth),
    "a folder an image": ({"case{i:02}/input.jpg": image, "case{i:02}/target.png": truth}, truth),
    "dark images in plates and wells": ({"p7/A0{i}/ch1.tif": dark, "p7/A0{i}/ch1_bin.tif": black_and_white}, binary),
    "prefixes": ({"all/sat{i}.jpg": image, "all/msk{i}.png": truth}, truth),
    "dates": ({"2021-0{i}-11/cam/{i:05}.jpg": image, "2021-0{i}-11/lab/{i:05}.png": truth}, truth),
    "both suffixes": ({"{i}.jpg": image, "{i}.jpg.png": truth}, truth),
    "colours with an alpha channel": ({"sheet/{i}.jpg": image, "paint/{i}.png": in_alpha}, truth),
    "ids of 16 bits": ({"a/{i}.jpg": image, "b/{i}.png": sixteen_bits}, truth),
    "the truth of one of two cameras": (
        {"left/{i:06}.png": image, "right/{i:06}.png": other_camera, "left_gt/{i:06}.png": truth},
        truth,
    ),
    "a field of view": (
        {"pupil/{i}.tif": image, "vessel/{i}.gif": black_and_white, "aperture/{i}.gif": field_of_view},
        binary,
    ),
    "annotators, of whom the first is read": (
        {"lesion/{i}.jpg": image, "expertA/{i}.png": black_and_white, "expertB/{i}.png": drawn_wider},
        binary,
    ),
}
ASKED: dict[str, tuple[Files, Kind]] = {
    "two modalities": ({"optical/{i}.png": image, "sar/{i}.png": other_camera, "flood/{i}.png": truth}, truth),
    "depth": ({"colour/{i}.png": image, "sem/{i}.png": truth, "range/{i}.png": depth}, truth),
    "blends": ({"colour/{i}.png": image, "blended/{i}.png": blend, "sem/{i}.png": truth}, truth),
    "outlines": ({"pupil/{i}.png": image, "outline/{i}.png": edges, "vessel/{i}.png": black_and_white}, binary),
    "weights of a loss": ({"dish/{i}.tif": dark, "cell/{i}.tif": black_and_white, "weigh/{i}.tif": soft}, binary),
    "cameras by a letter": ({"r/{i}L.jpg": image, "r/{i}R.jpg": other_camera, "g/{i}L_classes.png": truth}, truth),
}


def plant(root: Path, files: Files) -> None:
    for i in range(1, COUNT + 1):
        for path, draw in files.items():
            save(root / path.format(i=i), draw(i))


def wrong(dataset: Dataset, files: Files, expected: Kind) -> list[str]:
    """The samples that have another image or another mask than was drawn."""
    first = next(iter(files))
    drawn = {first.format(i=i): expected(i) for i in range(1, COUNT + 1)}
    assert dataset.root is not None
    found = {}
    for sample in (one for of in dataset.splits.values() for one in of):
        found[Path(sample.image).relative_to(dataset.root).as_posix()] = sample.read_mask()  # type: ignore[attr-defined]
    return [
        path
        for path in {*found, *drawn}
        if path not in found or path not in drawn or not np.array_equal(found[path], drawn[path])
    ]


def suggested(root: Path) -> list[tuple[str, str]]:
    """The patterns of the lines that are shown, where nothing is read."""
    with pytest.raises(UserError) as raised:
        open_dataset(root)
    assert len(raised.value.more) <= 4
    found = [re.search('images="(.*?)" masks="(.*?)"', line) for line in raised.value.more]
    return [(match[1], match[2]) for match in found if match is not None]


@pytest.mark.parametrize("name", READ)
def test_read_by_path_alone(tmp_path: Path, name: str) -> None:
    files, expected = READ[name]
    plant(tmp_path, files)
    assert wrong(open_dataset(tmp_path), files, expected) == []


@pytest.mark.parametrize("name", ASKED)
def test_two_readings_too_near_to_one_another_are_asked_for(tmp_path: Path, name: str) -> None:
    files, expected = ASKED[name]
    plant(tmp_path, files)
    readings = suggested(tmp_path)
    assert len(readings) == 2
    right = [
        not wrong(open_dataset(tmp_path, reading=Reading(images=images, masks=masks)), files, expected)
        for images, masks in readings
    ]
    assert right.count(True) == 1


def test_one_file_an_object_below_an_image_of_one_name(tmp_path: Path) -> None:
    for i in range(1, COUNT + 1):
        save(tmp_path / f"plates/k{i}x/microscope.png", image(i))
        for label in (1, 2):
            save(tmp_path / f"plates/k{i}x/cells/{7 * i + label}.png", (truth(i) == label).astype(np.uint8) * 255)
    dataset = open_dataset(tmp_path, make_val=False)
    assert [sample.read_mask().tolist() for sample in dataset.split("train")] == [
        binary(i).tolist() for i in range(1, COUNT + 1)
    ]


def test_one_file_a_class_though_few_images_show_more_than_one(tmp_path: Path) -> None:
    for i in range(1, COUNT + 1):
        save(tmp_path / f"p{i}.jpg", image(i))
        for label, name in ((1, "scab"), (2, "rust")):
            shown = (truth(i) == label) & (i % 2 == label % 2)
            save(tmp_path / f"p{i}_{name}.png", shown.astype(np.uint8) * 255)
    dataset = open_dataset(tmp_path, make_val=False)
    assert dataset.classes.names == ("background", "rust", "scab")
    assert not any(note.startswith("not read") for note in dataset.notes)
    for i, sample in enumerate(dataset.split("train"), 1):
        assert np.array_equal(sample.read_mask() > 0, truth(i) == (1 if i % 2 else 2))


def test_folders_of_patients_are_no_classes_without_being_asked(tmp_path: Path) -> None:
    for i in range(1, 7):
        folder = tmp_path / f"subject-{'abc'[i % 3]}" / f"visit {i % 2}"
        save(folder / f"slice_{i}.jpg", image(i))
        save(folder / f"slice_{i}_roi.png", black_and_white(i))
    (_, by_class), (_, plain) = suggested(tmp_path)
    assert ("{class}" in by_class, "{class}" in plain) == (True, False)


def test_of_frames_of_videos_some_are_labelled(tmp_path: Path) -> None:
    for video in "ab":
        for i in range(1, COUNT + 1):
            save(tmp_path / f"clips/drive {video}/frame_{i:04}.jpg", image(i))
            if i % 4 == 0:
                save(tmp_path / f"ticks/drive {video}/frame_{i:04}.png", truth(i))
    dataset = open_dataset(tmp_path, make_val=False)
    assert len(dataset.split("train")) == 4
    assert all(Path(s.image).parts[-2] == Path(s.mask).parts[-2] for s in dataset.split("train"))  # type: ignore[attr-defined]
    assert any(note.startswith("12 of 16 images") for note in dataset.notes)


def test_masks_in_folders_of_another_depth(tmp_path: Path) -> None:
    for i in range(1, COUNT + 1):
        save(tmp_path / f"shots/{'ab'[i % 2]}/{i:03}.jpg", image(i))
        save(tmp_path / f"done/{'pq'[i % 2]}/{'xyz'[i % 3]}/{i:03}.png", truth(i))
    dataset = open_dataset(tmp_path, make_val=False)
    assert sorted(Path(s.image).stem for s in dataset.split("train")) == [f"{i:03}" for i in range(1, COUNT + 1)]  # type: ignore[attr-defined]
    for sample in dataset.split("train"):
        assert np.array_equal(sample.read_mask(), truth(int(Path(sample.image).stem)))  # type: ignore[attr-defined]


def test_a_stack_of_pages_is_refused_and_each_page_is_read_when_it_is_a_file(tmp_path: Path) -> None:
    for name, draw in (("volume", dark), ("labels", black_and_white)):
        pages = [Image.fromarray(draw(i)) for i in range(1, 4)]
        pages[0].save(tmp_path / f"train-{name}.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(UserError, match=r"train-\w+\.tif is a stack of 3 pages; save each page as a file of its own"):
        open_dataset(tmp_path)


def test_a_tiff_with_smaller_copies_of_its_image_is_no_stack(tmp_path: Path) -> None:
    for i in range(1, 4):
        (tmp_path / "a").mkdir(exist_ok=True)
        large = Image.fromarray(image(i))
        large.save(tmp_path / f"a/{i}.tif", save_all=True, append_images=[large.resize((32, 24))])
        save(tmp_path / f"b/{i}.png", truth(i))
    dataset = open_dataset(tmp_path, make_val=False)
    assert np.array_equal(dataset.split("train")[0].read_image(), image(1))


@pytest.mark.parametrize("how", ["table", "names"])
def test_splits_by_a_table_or_by_a_word_in_the_names(tmp_path: Path, how: str) -> None:
    wanted = {i: "val" if i % 4 == 0 else "train" for i in range(1, COUNT + 1)}
    for i, split in wanted.items():
        name = f"coil{i}_{split}" if how == "names" else f"coil{i}"
        save(tmp_path / f"{name}.jpg", image(i))
        save(tmp_path / f"{name}_flaw.png", truth(i))
    if how == "table":
        rows = [f"{i},coil{i}.jpg,{'validation' if split == 'val' else split}" for i, split in wanted.items()]
        (tmp_path / "folds.csv").write_text("\n".join(["number,filename,Split", *rows]))
    dataset = open_dataset(tmp_path)
    assert {split: len(of) for split, of in dataset.splits.items()} == {"train": 6, "val": 2}
    assert [re.sub(r"\D", "", sample.name) for sample in dataset.split("val")] == ["4", "8"]


def test_a_single_image_whose_mask_shares_no_name_is_refused_with_the_way_to_list_it(tmp_path: Path) -> None:
    save(tmp_path / "image.png", image(1))
    save(tmp_path / "mask.png", black_and_white(1))
    with pytest.raises(UserError) as raised:
        open_dataset(tmp_path)
    assert any("image,mask" in line for line in raised.value.more)
    (tmp_path / "list.csv").write_text("image,mask\nimage.png,mask.png\n")
    (sample,) = open_dataset(tmp_path / "list.csv").split("train")
    assert np.array_equal(sample.read_mask(), binary(1))


def test_names_alone_are_enough_so_that_no_file_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, {"rgb/{i}.png": image, "truth/{i}.png": truth})
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("a file was opened"))
    found = Finder(Tree.scan(tmp_path)).choose()
    assert (found.images, found.masks) == ("rgb/{id}.png", "truth/{id}.png")
