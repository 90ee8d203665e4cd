"""Scenes: rasters with their labels, named by a `dataset.yaml`, or one by its path and that of its labels."""

from __future__ import annotations

from pathlib import Path

from ....classes import IGNORE
from ....errors import UserError
from ....images import is_raster
from ...reading import Reading
from ...samples import Dataset
from ...scenes import SceneFiles, open_scenes
from ...settings import read_settings
from ...small_files import read_yaml

EXAMPLE = "scenes: [{image: a.tif, labels: a.shp}]"
NOTHING = "no scene: neither a raster (with masks=LABELS) nor a folder or YAML file that lists scenes"


def read(path: Path, reading: Reading) -> Dataset | None:
    """Read scenes; None where a path stands for something else.

    Args:
        path: a folder with a `dataset.yaml`, such a file, or a raster (or a pattern with {band}).
        reading: of a raster `masks` is the file of its labels.

    Raises:
        UserError: see `open_scenes`.
    """
    file = path / "dataset.yaml" if path.is_dir() else path
    if file.suffix in (".yaml", ".yml") and file.is_file():
        if file != path and not _names_scenes(file):
            return None  # of a folder's other reader, which says what is wrong with the file
        settings = read_settings(file)
        if not settings.scenes:
            raise UserError(f"{file} lists no scenes; write as in: {EXAMPLE}")
        if reading.images is not None or reading.masks is not None:
            raise UserError(f"{file} names scenes and their labels; leave images= and masks= out")
        if settings.colours is not None:
            raise UserError(f"{file}: colours are of masks, and scenes have class ids or shapes; leave them out")
        void = (IGNORE,) if settings.void is None else settings.void
        return open_scenes(
            settings.scenes, reading, block=settings.block, names=settings.names, void=void, root=file.parent
        )
    if not is_raster(path, rgb=False):
        return None
    if reading.masks is None:
        raise UserError(f"{path} is one scene; name its labels, a raster of class ids or shapes, by masks=FILE")
    return open_scenes([SceneFiles(path, Path(reading.masks))], reading)


def _names_scenes(file: Path) -> bool:
    try:
        described = read_yaml(file, EXAMPLE)
    except UserError:
        return False
    return isinstance(described, dict) and "scenes" in described
