"""Recipes as files: what lies over what."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyramid_attention.errors import UserError
from pyramid_attention.training import list_recipes, load_recipe
from pyramid_attention.training.recipe_files import built_in_crops, lay_over, read_tree, tree_of

LEAVES = st.one_of(st.integers(0, 3), st.lists(st.integers(0, 3), max_size=2))
NAMES = st.sampled_from(["a", "b", "ab"])
TREES = st.dictionaries(NAMES, st.one_of(LEAVES, st.dictionaries(NAMES, LEAVES, min_size=1)))


def leaves(tree: dict, prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in tree.items():
        flat |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def test_the_crops_are_those_of_the_recipes() -> None:
    assert built_in_crops() == {name: load_recipe(name).data.crop for name in list_recipes()}


@given(TREES)
@settings(deadline=None)
def test_a_tree_is_that_of_its_leaves_by_their_dotted_names(tree: dict) -> None:
    assert tree_of(leaves(tree)) == tree


@given(TREES, TREES)
@settings(deadline=None)
def test_what_lies_above_wins_and_the_rest_shows_through(below: dict, above: dict) -> None:
    merged = leaves(lay_over(below, above))
    assert leaves(above).items() <= merged.items()
    covered = tuple(f"{name}." for name in merged.keys() & leaves(above).keys())
    for name, value in leaves(below).items():
        hidden = (
            name in leaves(above) or f"{name}.".startswith(covered) or any(n.startswith(f"{name}.") for n in merged)
        )
        assert hidden or merged[name] == value


def test_a_trained_model_hides_the_network_below_unless_a_backbone_stands_beside_it() -> None:
    below = {"model": {"backbone": "a", "options": {"channels": 8}}, "train": {"epochs": 3}}
    assert lay_over(below, {"model": {"init": "m", "output_stride": 8}}) == {
        "model": {"init": "m", "output_stride": 8},
        "train": {"epochs": 3},
    }
    beside = {"model": {"init": "m", "backbone": "b"}}
    assert lay_over(below, beside)["model"] == {"init": "m", "backbone": "b", "options": {"channels": 8}}
    assert lay_over(below, {"model": {"init": None}})["model"]["backbone"] == "a"


def test_classes_take_the_place_of_others_as_a_whole() -> None:
    below = {"data": {"classes": {"a": ["x"]}, "reduce": 2}}
    assert lay_over(below, {"data": {"classes": {"b": ["y"]}}}) == {"data": {"classes": {"b": ["y"]}, "reduce": 2}}


def test_a_base_is_found_beside_its_file(tmp_path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.yaml").write_text("base: sub/b.yaml\ntrain: {epochs: 1}\n")
    (tmp_path / "sub" / "b.yaml").write_text("base: c.yaml\ntrain: {epochs: 2, batch_size: 2}\n")
    (tmp_path / "sub" / "c.yaml").write_text("train: {batch_size: 3, clip: 3}\n")
    assert read_tree(tmp_path / "a.yaml") == {"train": {"epochs": 1, "batch_size": 2, "clip": 3}}
    (tmp_path / "sub" / "c.yaml").write_text("base: b.yaml\n")
    with pytest.raises(UserError, match=r"is its own base \(.*b\.yaml → .*c\.yaml → .*b\.yaml\)"):
        read_tree(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed: 1\ntrain: [", r"is not valid YAML \(line 2\)"),
        ("- 1\n- 2", r"must hold fields, as in train: \{epochs: 5\}, not \[1, 2\]"),
        ("base: 5", "has the base 5; write the name"),
        ("seed: 2024-13-01", "is not valid YAML"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path, text: str, says: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=says):
        read_tree(tmp_path / "mine.yaml")


def test_a_file_that_is_not_text_or_not_there(tmp_path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="it is not text"):
        read_tree(tmp_path / "mine.yaml")
    with pytest.raises(UserError, match="No such file"):
        read_tree(tmp_path / "none.yaml")
    with pytest.raises(
        UserError, match=r"no recipe is called 'camvit'\. Did you mean 'camvid'\? A file ends in \.yaml"
    ):
        read_tree("camvit")
