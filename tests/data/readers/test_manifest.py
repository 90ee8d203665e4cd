"""A manifest: a table that names images and masks, wherever they lie."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.data import Reading, open_dataset
from pyramid_attention.data.convert import convert_dataset
from pyramid_attention.errors import UserError


def write(path: Path, values: list[list[int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(values, np.uint8)).save(path)


def manifest(folder: Path, *rows: str, heading: str = "image,mask,split,group") -> Path:
    path = folder / "list.csv"
    path.write_text("\n".join([heading, *rows]))
    return path


def test_paths_are_relative_to_the_table_and_splits_and_groups_are_its(tmp_path: Path) -> None:
    for name, label in (("a", 0), ("b", 1), ("c", 2)):
        write(tmp_path / "x" / f"{name}.png", [[9, 9], [9, 9]])
        write(tmp_path / "y" / f"{name}_truth.png", [[label, 1], [0, 2]])
    rows = ["x/a.png,y/a_truth.png,train,day", "x\\b.png,y\\b_truth.png,validation,", "x/c.png,y/c_truth.png,,night"]
    found = open_dataset(manifest(tmp_path, *rows))
    assert {split: [one.name for one in of] for split, of in found.splits.items()} == {
        "train": ["x/a", "x/c"],
        "val": ["x/b"],
    }
    assert found.groups == {"x/a": "day", "x/c": "night"}
    assert [one.read_mask().tolist() for one in found.split("train")] == [[[0, 1], [0, 2]], [[2, 1], [0, 2]]]
    assert found.split("val")[0].read_image().tolist() == [[[9, 9, 9]] * 2] * 2


def test_rows_of_one_image_are_one_mask_each_of_its_objects(tmp_path: Path) -> None:
    write(tmp_path / "a.png", [[5, 5, 5]])
    write(tmp_path / "m1.png", [[255, 0, 0]])
    write(tmp_path / "m2.png", [[0, 0, 255]])
    found = open_dataset(manifest(tmp_path, "a.png,m1.png", "a.png,m2.png", "a.png,m2.png", heading="image,mask"))
    assert [one.read_mask().tolist() for one in found.split("train")] == [[[1, 0, 1]]]


def test_rows_without_their_files_are_left_out_and_noted(tmp_path: Path) -> None:
    write(tmp_path / "a.png", [[0, 1]])
    path = manifest(tmp_path, "a.png,a.png", "b.png,a.png", "a.png,", heading="image,mask")
    found = open_dataset(path)
    assert [one.name for one in found.split("train")] == ["a"]
    assert f"2 of 3 rows of {path} lack a file and are left out ({tmp_path / 'b.png'}, line 4)" in found.notes


def test_groups_stay_on_one_side(tmp_path: Path) -> None:
    rows = []
    for number in range(8):
        write(tmp_path / f"{number}.png", [[0, 1]])
        rows.append(f"{number}.png,{number}.png,,street {number // 2}")
    found = open_dataset(manifest(tmp_path, *rows), reading=Reading(val=0.25))
    held = {int(one.name) // 2 for one in found.split("val")}
    assert 0 < len(held) < 4
    assert not held & {int(one.name) // 2 for one in found.split("train")}


@pytest.mark.parametrize(
    ("heading", "row", "message"),
    [
        (
            "picture,mask",
            "a.png,a.png",
            r"list\.csv begins with 'picture,mask'; a manifest has the headings image,mask",
        ),
        ("image,mask", "b.png,b.png", r"list\.csv names no image with a mask that is there: 1 of 1 rows"),
        ("image,mask", "a.png,a.png", r"do not say how many classes .* name them in [^;]*[^v]/dataset\.yaml, for"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, heading: str, row: str, message: str) -> None:
    write(tmp_path / "a.png", [[3, 3]])
    with pytest.raises(UserError, match=message):
        open_dataset(manifest(tmp_path, row, heading=heading))


def test_names_are_those_of_the_settings_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "a.png", [[0, 7]])
    (tmp_path / "dataset.yaml").write_text("names: {0: road, 7: tree}")
    found = open_dataset(manifest(tmp_path, "a.png,a.png", heading="image,mask"))
    assert found.classes.names == ("road", "tree")
    assert found.split("train")[0].read_mask().tolist() == [[0, 1]]


def test_a_copy_does_not_go_into_the_folder_of_the_table(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.png", [[0, 1]])
    found = open_dataset(manifest(tmp_path / "data", "a.png,a.png", heading="image,mask"))
    with pytest.raises(UserError, match="lie in one another"):
        convert_dataset(found, tmp_path / "data" / "copy")
    assert convert_dataset(found, tmp_path / "copy").done == {"train": 1}
