"""Samples: what is read from an image and its mask, and how every problem of a data set is told."""

import pickle
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pyramid_attention.classes import IGNORE
from pyramid_attention.data import FileSample, check_samples, reduce_samples
from pyramid_attention.data.samples import UNKNOWN, ColourSample, id_lookup
from pyramid_attention.errors import UserError
from pyramid_attention.images import write_image

IMAGE = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
IDS = np.random.default_rng(1).integers(0, 3, (12, 16), dtype=np.uint8)


def sample(folder: Path, mask: NDArray[np.generic] = IDS, name: str = "a") -> FileSample:
    """An image of 16×12 pixels and a mask with the classes 0, 1, 2 and the void id 255."""
    image_file, mask_file = folder / f"{name}.jpg", folder / f"{name}.png"
    Image.fromarray(IMAGE).save(image_file)
    Image.fromarray(mask).save(mask_file)
    return FileSample(name, image_file, mask_file, id_lookup(range(3), [255]))


def complaint(broken: FileSample) -> str:
    """What is said of one broken sample: the same, on one line, by itself and in a check of all."""
    with pytest.raises(UserError) as alone:
        (broken.read_image(), broken.read_mask())
    with pytest.raises(UserError) as checked:
        check_samples([broken])
    assert str(checked.value) == str(alone.value)
    assert "\n" not in str(alone.value)
    return str(alone.value)


# Ids to labels


@given(
    ids=st.lists(st.integers(0, 1000), min_size=1, max_size=255, unique=True).map(sorted),
    void=st.sets(st.integers(0, 1000), max_size=5),
)
@example(ids=[0, 255], void={255})
def test_every_id_has_the_label_of_its_place_or_is_void_or_unknown(ids: list[int], void: set[int]) -> None:
    lookup = id_lookup(ids, void)
    for value in range(len(lookup)):
        expected = ids.index(value) if value in ids else IGNORE if value in void else UNKNOWN
        assert lookup[value] == expected
    assert len(lookup) == max([*ids, *void]) + 2
    assert lookup[-1] == UNKNOWN


def test_a_mask_is_read_through_the_lookup(tmp_path: Path) -> None:
    on_disk = np.array([[0, 7, 8, 9], [255, 8, 7, 0]], dtype=np.uint8)
    Image.fromarray(on_disk).save(tmp_path / "a.png")
    lookup = id_lookup([0, 7, 8], [9, 255])
    found = FileSample("a", tmp_path / "a.png", tmp_path / "a.png", lookup).read_mask()
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 1, 2, 255], [255, 2, 1, 0]]


def test_an_image_is_read_as_it_was_written(tmp_path: Path) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    whole = FileSample("a", tmp_path / "a.png", tmp_path / "a.png", id_lookup([0], []))
    assert np.array_equal(whole.read_image(), IMAGE)


@pytest.mark.parametrize(("orientation", "shape"), [(1, (12, 16)), (3, (12, 16)), (6, (16, 12)), (8, (16, 12))])
def test_a_mask_has_the_size_of_the_upright_image(tmp_path: Path, orientation: int, shape: tuple[int, int]) -> None:
    turned = sample(tmp_path, np.zeros(shape, dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(IMAGE).save(turned.image, exif=exif)
    assert turned.read_image().shape[:2] == turned.read_mask().shape == shape
    check_samples([turned])


# Bad input


def test_a_mask_of_another_size(tmp_path: Path) -> None:
    broken = sample(tmp_path, np.zeros((16, 12), dtype=np.uint8))
    assert complaint(broken) == (
        f"{broken.mask} is 12×16 pixels but its image {broken.image} is 16×12; save the mask at the image's size"
    )


@pytest.mark.parametrize(
    ("found", "listed"),
    [
        ([3], "3"),
        ([254], "254"),
        ([3, 4, 5, 9, 200, 201], "3-5, 9, 200-201"),
        ([3, 400, 65535], "3, 400, 65535"),
        (list(range(10, 40, 2)), "10, 12, 14, 16, 18, 20, 22, 24 and 7 more"),
    ],
)
def test_ids_outside_the_table_are_named(tmp_path: Path, found: list[int], listed: str) -> None:
    ids = np.zeros((12, 16), dtype=np.uint8 if max(found) < 256 else np.uint16)
    ids[0] = 255
    ids[3, : len(found)] = found[::-1]
    broken = sample(tmp_path, ids)
    assert complaint(broken) == (
        f"{broken.mask} holds ids that are no class: {listed}; the class table knows 0-2, 255, void included;"
        " correct the mask or the table"
    )


def test_a_negative_id_is_no_class(tmp_path: Path) -> None:
    broken = sample(tmp_path)
    ids = np.zeros((12, 16), dtype=np.int32)
    ids[5, 5] = -7
    Image.fromarray(ids).save(tmp_path / "a.tif")
    broken = FileSample("a", broken.image, tmp_path / "a.tif", broken.lookup)
    assert "holds ids that are no class: -7;" in complaint(broken)


def test_a_colour_mask(tmp_path: Path) -> None:
    broken = sample(tmp_path, IMAGE)
    assert complaint(broken).startswith(f"{broken.mask} is a colour image where a mask of class ids is expected; save")


@pytest.mark.parametrize("which", ["image", "mask"])
def test_a_truncated_file(tmp_path: Path, which: str) -> None:
    broken = sample(tmp_path)
    file: Path = getattr(broken, which)
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 3 // 4])
    text = complaint(broken)
    assert text.startswith(f"{file} is damaged and cannot be decoded")
    assert text.endswith("replace or remove it")


@pytest.mark.parametrize("content", ["no image at all\n", ""])
@pytest.mark.parametrize("which", ["image", "mask"])
def test_a_file_that_is_no_image(tmp_path: Path, which: str, content: str) -> None:
    broken = sample(tmp_path)
    file: Path = getattr(broken, which)
    file.write_text(content)
    assert complaint(broken) == f"{file} is not an image in a known format (or is empty); replace or remove it"


@pytest.mark.parametrize("which", ["image", "mask"])
def test_a_file_that_has_gone(tmp_path: Path, which: str) -> None:
    broken = sample(tmp_path)
    file: Path = getattr(broken, which)
    file.unlink()
    assert complaint(broken) == f"{file} does not exist; check the path"


# Checking all


@dataclass
class Scripted:
    """A sample that waits until it may be read and then fails as told."""

    name: str
    fails: str | None = None
    wait_for: threading.Event | None = None
    done: threading.Event | None = None

    def read_image(self) -> NDArray[np.uint8]:
        if self.wait_for is not None:
            assert self.wait_for.wait(timeout=30)
        if self.done is not None:
            self.done.set()
        if self.fails == "image":
            raise UserError(f"{self.name} is damaged")
        return IMAGE

    def read_mask(self) -> NDArray[np.uint8]:
        if self.fails == "mask":
            raise UserError(f"{self.name} has a bad mask")
        return IDS


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({4: "mask"}, "s4 has a bad mask"),
        ({7: "mask", 2: "image"}, "s2 is damaged … and 1 more of 20 have a problem"),
        ({19: "image", 3: "mask", 11: "image"}, "s3 has a bad mask … and 2 more of 20 have a problem"),
        (dict.fromkeys(range(20), "mask"), "s0 has a bad mask … and 19 more of 20 have a problem"),
    ],
)
def test_the_first_problem_is_told_and_the_others_counted(bad: dict[int, str], said: str) -> None:
    calls: list[None] = []
    with pytest.raises(UserError) as raised:
        check_samples([Scripted(f"s{i}", bad.get(i)) for i in range(20)], lambda: calls.append(None))
    assert str(raised.value) == said
    assert len(calls) == 20


def test_the_first_in_order_is_told_though_another_fails_earlier() -> None:
    second_read = threading.Event()
    first = Scripted("first", "image", wait_for=second_read)
    second = Scripted("second", "image", done=second_read)
    with pytest.raises(UserError, match=r"^first is damaged … and 1 more of 2 have a problem$"):
        check_samples([first, second])


@pytest.mark.parametrize("count", [0, 1, 9])
def test_without_a_problem_every_sample_is_reported_done_by_the_calling_thread(count: int) -> None:
    threads: list[int] = []
    check_samples([Scripted(f"s{i}") for i in range(count)], lambda: threads.append(threading.get_ident()))
    assert threads == [threading.get_ident()] * count


def test_what_is_kept_is_decoded_once() -> None:
    reads = []

    class Counting(Scripted):
        def read_image(self) -> NDArray[np.uint8]:
            reads.append(self.name)
            return super().read_image()

    kept = check_samples([Counting("a"), Counting("b")], keep=True)
    for _ in range(3):
        assert [sample.name for sample in kept] == ["a", "b"]
        assert all(np.array_equal(sample.read_mask(), IDS) for sample in kept)
        assert all(sample.read_image().shape == (*IDS.shape, 3) for sample in kept)
    assert sorted(reads) == ["a", "b"]


def test_a_fault_that_is_not_the_users_is_not_taken_for_one() -> None:
    class Faulty(Scripted):
        def read_mask(self) -> NDArray[np.uint8]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        check_samples([Faulty("a")])


# Masks in colours, and samples made smaller


@pytest.fixture
def coloured(tmp_path):
    write_image(tmp_path / "a.png", np.zeros((2, 3, 3), np.uint8))
    labels = {(0, 0, 1): 0, (200, 10, 0): 1, (7, 7, 7): IGNORE}
    return tmp_path, ColourSample("a", tmp_path / "a.png", tmp_path / "mask.png", labels)


def test_colours_become_labels(coloured):
    folder, sample = coloured
    colours = np.array([[(0, 0, 1), (200, 10, 0), (7, 7, 7)], [(200, 10, 0)] * 3], np.uint8)
    write_image(folder / "mask.png", colours)
    assert sample.read_mask().tolist() == [[0, 1, 255], [1, 1, 1]]
    assert sample.read_mask().dtype == np.uint8
    assert sample.read_image().shape == (2, 3, 3)
    again = pickle.loads(pickle.dumps(sample))
    assert again.read_mask().tolist() == [[0, 1, 255], [1, 1, 1]]


def test_colours_that_are_no_class_are_named(coloured):
    folder, sample = coloured
    write_image(folder / "mask.png", np.full((2, 3, 3), (255, 255, 255), np.uint8))
    with pytest.raises(UserError, match=r"holds colours that are no class: \(255, 255, 255\)"):
        sample.read_mask()
    write_image(folder / "mask.png", np.full((3, 3, 3), (0, 0, 1), np.uint8))
    with pytest.raises(UserError, match=r"is 3×3 pixels but its image .* is 3×2"):
        sample.read_mask()


@dataclass
class InMemory:
    name: str
    image: np.ndarray
    mask: np.ndarray

    def read_image(self):
        return self.image

    def read_mask(self):
        return self.mask


@given(st.integers(1, 9), st.integers(1, 9), st.integers(2, 4))
def test_a_reduced_sample_holds_means_of_squares_and_the_labels_in_their_middle(height, width, factor):
    rng = np.random.default_rng(height * 10 + width)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    mask = rng.integers(0, 5, (height, width), np.uint8)
    (small,) = reduce_samples([InMemory("a", image, mask)], factor)
    rows, columns = range(0, height, factor), range(0, width, factor)
    means = [[image[y : y + factor, x : x + factor].mean((0, 1)) for x in columns] for y in rows]
    np.testing.assert_allclose(small.read_image(), means, atol=0.75)  # Pillow rounds a little roughly
    middles = [[mask[min(y + factor // 2, height - 1), min(x + factor // 2, width - 1)] for x in columns] for y in rows]
    np.testing.assert_array_equal(small.read_mask(), middles)
    assert small.name == "a"


def test_a_factor_of_one_changes_nothing():
    samples = [InMemory("a", np.zeros((1, 1, 3)), np.zeros((1, 1)))]
    assert reduce_samples(samples, 1) is samples
