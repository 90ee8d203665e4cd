"""Training from rasters: labels lie where their polygons lie, and validation is not beside training."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyramid_attention.classes import IGNORE
from pyramid_attention.data import Reading, open_dataset, remap_classes
from pyramid_attention.data.convert import convert_dataset
from pyramid_attention.data.scene_blocks import GAP, Block, choose_blocks, cut
from pyramid_attention.data.scenes import open_scene
from pyramid_attention.data.shards import convert_to_shards
from pyramid_attention.data.statistics import BandStatistics
from pyramid_attention.errors import UserError
from pyramid_attention.images import Bands
from support import geotiff

pyogrio = pytest.importorskip("pyogrio", reason="needs the extra geo")
shapely = pytest.importorskip("shapely", reason="needs the extra geo")
from rasterio.warp import transform_geom  # noqa: E402

FIELDS = Path(__file__).parents[3] / "shared" / "fields" / "raster"
SIZE = 300, 400


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).integers(0, 65536, (5, *SIZE), dtype=np.uint16)
    return geotiff(tmp_path / "scene.tif", values, names=["B1", "B2", "B3", "B4", "B5"])


def write_shapes(path: Path, boxes: dict[tuple[int, int, int, int], tuple[str, int]], crs: str = "EPSG:32632") -> Path:
    """Polygons along pixels (top, left, bottom, right) of the scene, in a CRS, with a class's name and number."""
    polygons = []
    for top, left, bottom, right in boxes:
        polygon = shapely.box(5e5 + 10 * left, 4.6e6 - 10 * bottom, 5e5 + 10 * right, 4.6e6 - 10 * top)
        if crs != "EPSG:32632":
            turned = transform_geom("EPSG:32632", crs, shapely.geometry.mapping(polygon))
            polygon = shapely.geometry.shape(turned)
        polygons.append(polygon)
    names, numbers = (np.array(column) for column in zip(*boxes.values(), strict=True))
    pyogrio.raw.write(
        path,
        shapely.to_wkb(np.array(polygons)),
        [names.astype(object), numbers.astype(np.int64)],
        ["kind", "number"],
        geometry_type="Polygon",
        crs=crs,
    )
    return path


BOXES = {
    (10, 20, 60, 90): ("water", 7),
    (100, 20, 160, 90): ("forest", 3),
    (200, 150, 280, 380): ("water", 7),
    (20, 200, 120, 380): ("forest", 3),
    (130, 120, 180, 370): ("town", 5),
    (190, 20, 290, 120): ("town", 5),
}


@pytest.mark.parametrize("suffix", [".shp", ".geojson", ".gpkg"])
@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:4326"])
def test_polygons_label_the_pixels_they_cover(tmp_path: Path, scene: Path, suffix: str, crs: str) -> None:
    if suffix == ".geojson" and crs != "EPSG:4326":
        pytest.skip("GeoJSON is in EPSG:4326")
    dataset = open_scene(scene, write_shapes(tmp_path / f"shapes{suffix}", BOXES, crs), ["B5", "B1"], block=64)
    assert dataset.classes.names == ("forest", "town", "water")  # in the order of their numbers
    expected = np.full(SIZE, IGNORE, np.uint8)
    for (top, left, bottom, right), (name, _) in BOXES.items():
        expected[top:bottom, left:right] = dataset.classes.names.index(name)
    labels = dataset.splits["train"][0].scene.labels
    found = labels.read((0, 300), (0, 400))
    assert (found == expected).mean() == 1
    np.testing.assert_array_equal(labels.read((37, 215), (55, 301)), expected[37:215, 55:301])


def test_images_are_the_windows_values_and_every_label_is_in_one_split_at_most(tmp_path: Path, scene: Path) -> None:
    dataset = open_scene(scene, write_shapes(tmp_path / "a.gpkg", BOXES), ["B5", "B1"], block=32)
    (train,), (val,) = dataset.splits["train"], dataset.splits["val"]  # the scene is smaller than a window
    assert train.read_image().dtype == np.uint16
    assert train.read_image().shape == (*SIZE, 2)
    learnt, validated = train.read_mask(), val.read_mask()
    whole = train.scene.labels.read((0, 300), (0, 400))
    assert not ((learnt != IGNORE) & (validated != IGNORE)).any()
    np.testing.assert_array_equal(learnt[learnt != IGNORE], whole[learnt != IGNORE])
    np.testing.assert_array_equal(validated[validated != IGNORE], whole[validated != IGNORE])
    for label in range(3):
        share = (validated == label).sum() / (whole == label).sum()
        assert 0.1 < share < 0.35
        assert (learnt == label).any()
    rows, columns = np.nonzero(validated != IGNORE)
    near = np.zeros(SIZE, bool)
    for row, column in zip(rows[::7], columns[::7], strict=True):
        near[max(0, row - GAP) : row + GAP + 1, max(0, column - GAP) : column + GAP + 1] = True
    assert (learnt[near] == IGNORE).all()


def test_a_raster_of_ids_on_the_same_grid(tmp_path: Path, scene: Path) -> None:
    ids = np.zeros((1, *SIZE), np.uint8)
    ids[0, 50:150, 60:200], ids[0, 200:, 200:] = 4, 9
    dataset = open_scene(scene, geotiff(tmp_path / "ids.tif", ids, nodata=0), block=32)
    assert dataset.classes.names == ("class 4", "class 9")
    found = dataset.splits["train"][0].scene.labels.read((0, 300), (0, 400))
    np.testing.assert_array_equal(found, np.select([ids[0] == 4, ids[0] == 9], [0, 1], IGNORE))
    with pytest.raises(UserError, match=r"is not on the grid of .*gdalwarp"):
        open_scene(scene, geotiff(tmp_path / "small.tif", ids[:, :100]))


def test_where_the_scene_holds_no_data_there_is_no_label(tmp_path: Path) -> None:
    values = np.full((2, *SIZE), 5, np.int16)
    values[:, :, :100] = -1
    path = geotiff(tmp_path / "holes.tif", values, nodata=-1)
    dataset = open_scene(path, write_shapes(tmp_path / "a.gpkg", BOXES), block=32)
    for split in dataset.splits.values():
        for sample in split:
            assert (sample.read_mask()[:, :100] == IGNORE).all()


def test_what_does_not_fit_is_one_line(tmp_path: Path, scene: Path) -> None:
    elsewhere = {(top - 9000, left, bottom - 9000, right): kind for (top, left, bottom, right), kind in BOXES.items()}
    with pytest.raises(UserError, match=r"none of the 6 shapes in .* touches .*scene\.tif"):
        open_scene(scene, write_shapes(tmp_path / "far.gpkg", elsewhere))
    one_each = {box: (f"name {index}", index) for index, box in enumerate(BOXES)}
    with pytest.raises(UserError, match=r"no attribute of .* says a class"):
        open_scene(scene, write_shapes(tmp_path / "ids.gpkg", one_each))
    shapes = write_shapes(tmp_path / "a.gpkg", BOXES)
    with pytest.raises(UserError, match=r"no attribute 'kinds'.* Did you mean 'kind'"):
        open_scene(scene, shapes, attribute="kinds")
    with pytest.raises(UserError, match="no band 'B9'"):
        open_scene(scene, shapes, ["B9"])
    np.save(tmp_path / "nowhere.npy", np.zeros((50, 60, 2), np.uint8))
    with pytest.raises(UserError, match="does not say where on earth"):
        open_scene(tmp_path / "nowhere.npy", shapes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scenes: []", r"list\.yaml lists no scenes; write as in: scenes: \["),
        ("names: [a]", r"list\.yaml lists no scenes; write as in: scenes: \["),
        ("scenes: [", r"list\.yaml is not valid YAML"),
    ],
)
def test_a_file_that_lists_no_scene_says_how_to_list_one(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "list.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=said):
        open_dataset(file)


def test_an_encoding_that_does_not_exist_is_no_obstacle(tmp_path: Path, scene: Path) -> None:
    shapes = write_shapes(tmp_path / "a.shp", BOXES)
    shapes.with_suffix(".cpg").write_text("ISO 88591")
    assert open_scene(scene, shapes).classes.names == ("forest", "town", "water")


@given(
    counts=st.dictionaries(
        st.tuples(st.integers(0, 9), st.integers(0, 9)),
        st.lists(st.integers(0, 50), min_size=3, max_size=3),
        min_size=1,
    )
)
@settings(max_examples=60, deadline=None)
def test_every_class_keeps_blocks_for_training(counts: dict[tuple[int, int], list[int]]) -> None:
    blocks = {
        Block((64 * row, 64 * row + 64), (64 * column, 64 * column + 64)): np.array(each)
        for (row, column), each in counts.items()
        if any(each)
    }
    if not blocks:
        return
    held = choose_blocks(blocks, 0.3)
    total = sum(blocks.values(), np.zeros(3, int))
    kept = sum((count for block, count in blocks.items() if block not in held), np.zeros(3, int))
    assert ((kept > 0) == (total > 0)).all()
    assert held == choose_blocks(dict(reversed(blocks.items())), 0.3)


def test_blocks_cover_the_image_once() -> None:
    covered = np.zeros((70, 130), int)
    for rows, columns in cut(70, 130, 64):
        covered[slice(*rows), slice(*columns)] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_statistics_are_those_of_all_pixels_at_once(dtype: str) -> None:
    rng = np.random.default_rng(3)
    images = [(rng.normal(900, 80, (20 + k, 31, 4)) + np.arange(4) * 1000).clip(0, 30000) for k in range(5)]
    images = [(image / 130 if dtype == "uint8" else image).astype(dtype) for image in images]
    statistics = BandStatistics(4)
    valid = [rng.random(image.shape[:2]) < 0.8 for image in images]
    for image, mask in zip(images, valid, strict=True):
        statistics.add(image, mask)
    pixels = np.concatenate([image[mask] for image, mask in zip(images, valid, strict=True)]).astype(np.longdouble)
    assert statistics.count == len(pixels)
    np.testing.assert_allclose(statistics.mean, pixels.mean(axis=0).astype(float), rtol=1e-12)
    np.testing.assert_allclose(statistics.std, pixels.std(axis=0).astype(float), rtol=1e-10)


def test_nan_does_not_count_and_a_constant_band_can_be_divided_by() -> None:
    image = np.full((4, 4, 2), 3, np.float32)
    image[0, 0, 1] = np.nan
    statistics = BandStatistics(2)
    statistics.add(image)
    assert statistics.count == 15
    assert statistics.mean.tolist() == [3, 3]
    assert statistics.std.tolist() == [1, 1]


@pytest.mark.skipif(not FIELDS.is_dir(), reason="the scene is not here")
def test_the_real_scene_and_its_23_polygons() -> None:
    dataset = open_scene(FIELDS / "sentinel2" / "{band}.tiff", FIELDS / "landcover" / "rcr_landcover.shp")
    assert len(dataset.classes) == 6
    counts = np.zeros(256, int)
    for sample in dataset.splits["train"] + dataset.splits["val"]:
        counts += np.bincount(sample.read_mask().ravel(), minlength=256)
    assert (counts[:6] > 0).all()


def test_a_drawn_window_holds_a_label_to_learn_and_rare_classes_are_met(tmp_path: Path, scene: Path) -> None:
    boxes = {(10, 20, 260, 380): ("common", 1), (150, 200, 156, 206): ("rare", 2)}
    drawn = open_scene(scene, write_shapes(tmp_path / "a.gpkg", boxes, "EPSG:32632"), val=0, attribute="kind")
    of = drawn.splits["train"][0].scene
    rng = np.random.default_rng(0)
    rare = 0
    for _ in range(300):
        top, left = of.draw((40, 60), lambda end: int(rng.integers(end)))
        assert 0 <= top <= SIZE[0] - 40
        assert 0 <= left <= SIZE[1] - 60
        mask = of.read_mask(Block((top, top + 40), (left, left + 60)), False)
        assert (mask != IGNORE).any()
        rare += bool((mask == drawn.classes.names.index("rare")).any())
    assert rare > 60  # a quarter of all are drawn around its 36 of 90,000 pixels


def test_two_scenes_share_their_classes_by_name(tmp_path: Path, scene: Path) -> None:
    north = write_shapes(tmp_path / "north.gpkg", {box: kind for box, kind in BOXES.items() if kind[0] != "town"})
    south = write_shapes(tmp_path / "south.gpkg", {box: kind for box, kind in BOXES.items() if kind[0] != "water"})
    values = np.random.default_rng(9).integers(0, 65536, (5, *SIZE), dtype=np.uint16)
    geotiff(tmp_path / "other.tif", values, names=["B1", "B2", "B3", "B4", "B5"])
    one, two = f"image: scene.tif, labels: {north.name}", f"image: other.tif, labels: {south.name}, attribute: kind"
    (tmp_path / "dataset.yaml").write_text(f"scenes: [{{{one}}}, {{{two}}}]\nblock: 32\n")
    dataset = open_dataset(tmp_path, reading=Reading(bands=["B4", "2"]))
    assert dataset.format == "scenes"
    assert dataset.bands == Bands(("B4", "B2"), "uint16")
    assert dataset.classes.names == ("forest", "water", "town")
    found = {
        sample.name: set(np.unique(sample.scene.labels.read((0, 300), (0, 400)))) for sample in dataset.split("train")
    }
    assert found == {"scene.tif/0-0": {0, 1, IGNORE}, "other.tif/0-0": {0, 2, IGNORE}}
    merged = remap_classes(dataset, {"wet": ["water"], "dry": ["forest", "town"]})
    (first, *_) = merged.split("train")
    assert set(np.unique(first.scene.labels.read((0, 300), (0, 400)))) == {0, 1, IGNORE}
    total = sum(first.scene.learnt.values())
    assert total.tolist() == [(first.read_mask() == label).sum() for label in (0, 1)]


def test_scenes_are_not_converted_into_images(tmp_path: Path, scene: Path) -> None:
    dataset = open_scene(scene, write_shapes(tmp_path / "a.gpkg", BOXES))
    for convert in (convert_dataset, convert_to_shards):
        with pytest.raises(UserError, match="holds scenes, which are read from their files in place"):
            convert(dataset, tmp_path.with_name("copy"))
    assert not tmp_path.with_name("copy").exists()
