"""Figures of docs/results/rasters.md: large rasters in bounded memory, seams, and bands on a real scene.

python benchmarks/rasters.py size --side 20000
python benchmarks/rasters.py part --side 20000 --filled --rows 4
python benchmarks/rasters.py part --side 100000 --rows 1
python benchmarks/rasters.py seams --scene '../shared/fields/raster/sentinel2/{band}.tiff' --model RUN
python benchmarks/rasters.py landcover --fields ../shared/fields/raster
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from pyramid_attention.images import RGB, open_raster
from pyramid_attention.inference import Segmenter
from pyramid_attention.inference.bench import peak_memory
from pyramid_attention.inference.rasters import segment_raster


def make_raster(path: Path, side: int, filled: bool) -> Path:
    """A square of 8-bit RGB with a place on earth: smooth patches all over, or nothing but zeros that take no room."""
    import rasterio
    from PIL import Image
    from rasterio.transform import Affine
    from rasterio.windows import Window

    from pyramid_attention.images import gdal  # noqa: F401  # sets GDAL's cache before anything uses it

    profile = {"crs": "EPSG:32632", "transform": Affine(10, 0, 5e5, 0, -10, 46e5), "photometric": "RGB"}
    tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "zlevel": 1}
    more = {"bigtiff": "yes", "sparse_ok": True, "driver": "GTiff", "dtype": "uint8", "count": 3}
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    patch = np.asarray(Image.fromarray(coarse).resize((2048, 2048), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    with rasterio.open(path, "w", width=side, height=side, **profile, **tiles, **more) as file:
        for top in range(0, side, 2048) if filled else ():
            for left in range(0, side, 2048):
                turned = np.rot90(patch, int(rng.integers(4)), (1, 2))
                height, width = min(2048, side - top), min(2048, side - left)
                file.write(turned[:, :height, :width], window=Window(left, top, width, height))
    return path


class Memory:
    """The resident memory of this process, in bytes, noted every second."""

    def __enter__(self) -> Memory:
        self.noted: list[tuple[float, int]] = []
        self._end, self._begun = threading.Event(), time.monotonic()
        self._thread = threading.Thread(target=self._note, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _note(self) -> None:
        while not self._end.wait(1.0):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.noted.append((time.monotonic() - self._begun, pages * 4096))

    def curve(self, points: int = 12) -> list[tuple[int, int]]:
        """Seconds and megabytes, the highest in each of so many equal parts of the time."""
        parts = np.array_split(np.array(self.noted), min(points, len(self.noted)))
        return [(round(part[-1, 0]), round(part[:, 1].max() / 2**20)) for part in parts]


def cost(run: Callable[[], Any]) -> tuple[float, float]:
    """Wall and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def size(arguments: argparse.Namespace) -> dict[str, Any]:
    """Peak memory and time of a whole raster against its tiles in memory; tiles are timed before and after it."""
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as place:
        path = make_raster(Path(place) / "scene.tif", arguments.side, filled=True)
        before = peak_memory()
        segmenter = Segmenter.load(arguments.model, max_size=0, device="cpu", tile=arguments.tile)
        raster = open_raster(path)
        plan = segmenter.plan(raster.height, raster.width)
        tile = raster.read(plan.rows[0], plan.columns[0])
        whole = Segmenter(segmenter.engine, max_size=0)  # of one session: a second would take as much memory again
        alone = [cost(lambda: whole(tile)) for _ in range(4)][1:]
        with Memory() as memory:
            took = cost(lambda: segment_raster(segmenter, raster, Path(place) / "labels.tif"))
        peak = peak_memory()
        alone += [cost(lambda: whole(tile)) for _ in range(3)]
    count = len(plan.rows) * len(plan.columns)
    tiles = [statistics.median(each) * count for each in zip(*alone, strict=True)]
    return {
        "side": arguments.side,
        "tiles": count,
        "tile": list(tile.shape[:2]),
        "peak MB": round(peak / 2**20),
        "peak MB before, by making the raster": round(before / 2**20),
        "seconds": {"wall": took[0], "CPU": took[1]},
        "seconds of the tiles": {"wall": tiles[0], "CPU": tiles[1]},
        "ratio": {"wall": took[0] / tiles[0], "CPU": took[1] / tiles[1]},
        "memory": memory.curve(),
    }


def part(arguments: argparse.Namespace) -> dict[str, Any]:
    """Memory over time on the first rows of tiles of a raster, which may be too large to be made or segmented."""

    class Enough(Exception):
        """As many rows are done as were asked for."""

    with tempfile.TemporaryDirectory(dir=arguments.scratch) as place:
        raster = open_raster(make_raster(Path(place) / "scene.tif", arguments.side, arguments.filled))
        segmenter = Segmenter.load(arguments.model, max_size=0, device="cpu", tile=arguments.tile)
        plan = segmenter.plan(raster.height, raster.width)
        done: list[tuple[float, int]] = []
        begun = time.process_time()

        def note(rows: int) -> None:
            done.append((time.process_time() - begun, rows))
            if len(done) == arguments.rows:
                raise Enough

        with Memory() as memory, contextlib.suppress(Enough):
            segment_raster(segmenter, raster, Path(place) / "labels.tif", on_rows=note)
    rows = sum(count for _, count in done)
    return {
        "side": arguments.side,
        "tiles": [len(plan.rows), len(plan.columns)],
        "rows done": rows,
        "CPU seconds": done[-1][0],
        "CPU seconds for all, by calculation": done[-1][0] * arguments.side / rows,
        "peak MB": round(peak_memory() / 2**20),
        "memory": memory.curve(),
    }


def seams(arguments: argparse.Namespace) -> dict[str, Any]:
    """How often labels by tiles differ from those of the whole, at seams and elsewhere, as benchmarks/inference.py."""
    whole = Segmenter.load(arguments.model, max_size=0, device="cpu")
    raster = open_raster(Path(arguments.scene))
    bands = whole.info.bands
    top, left = (max(0, (side - arguments.side) // 2) for side in (raster.height, raster.width))
    image = raster.read((top, top + arguments.side), (left, left + arguments.side), bands.find(raster))
    truth = whole(image).labels
    result: dict[str, Any] = {"classes shown": len(np.unique(truth))}
    for tile in (256, 512):
        tiled = Segmenter(whole.engine, tile=tile)
        differs = tiled(image).labels != truth
        plan = tiled.plan(*truth.shape)
        seam = np.zeros(truth.shape, bool)
        for axis, along in enumerate((plan.rows, plan.columns)):
            for (_, end), (begin, _) in pairwise(along):
                middle = (begin + end) // 2
                np.moveaxis(seam, axis, 0)[max(0, middle - 16) : middle + 16] = True
        alone = np.zeros(2)
        for rows in plan.rows:
            for columns in plan.columns:
                part = np.s_[slice(*rows), slice(*columns)]
                own = whole(image[part]).labels != truth[part]
                alone += own[seam[part]].sum(), seam[part].sum()
        result[str(tile)] = {
            "at seams": float(differs[seam].mean()),
            "there, one tile alone": float(alone[0] / alone[1]),
            "elsewhere": float(differs[~seam].mean()),
        }
    return result


MODEL = {"model.architecture": "baseline", "model.output_stride": 8, "model.options": {}}
"""Without global pooling: what it would pool over is 64 pixels of shore in training, and 512 of sea in validation."""
FIELDS = {
    "data.crop": [64, 64],
    "data.scale": [0.75, 1.5],
    "data.workers": 0,
    "data.jitter": 0.1,
    "data.noise": 0.05,
    "data.check": False,
    "train.batch_size": 16,
    "train.learning_rate": 1e-3,
    "train.validate_every": 100,
}


def landcover(arguments: argparse.Namespace) -> dict[str, Any]:
    """Eight bands against three, and the first layer spread against a random one, three seeds each."""
    from torch import nn

    from pyramid_attention.data.scenes import open_scene
    from pyramid_attention.models.first_layer import first_layer
    from pyramid_attention.training import load_recipe, train
    from pyramid_attention.training.initial import build_network, describe
    from pyramid_attention.training.resolve import fit_options

    scene = Path(arguments.fields)
    image, labels = scene / "sentinel2" / "{band}.tiff", scene / "landcover" / "rcr_landcover.shp"
    cases = {"eight bands": None, "three bands (B04, B03, B02)": ["B04", "B03", "B02"], "eight, random": None}
    result: dict[str, Any] = {}
    for case, bands in cases.items():
        if arguments.only not in case:
            continue
        dataset = open_scene(image, labels, bands)
        for seed in range(arguments.seeds):
            network = None
            if case.endswith("random"):
                recipe = load_recipe("finetune", MODEL)
                network = build_network(fit_options(describe(recipe.model), {}), dataset.classes, seed, dataset.bands)
                nn.init.kaiming_normal_(first_layer(network.backbone).weight, mode="fan_out")
                network.bands = RGB  # so that the trainer measures the bands, as for every other network
            out = Path(arguments.out) / f"{case.replace(' ', '-')}-{seed}"
            fields = FIELDS | {"seed": seed} | (MODEL if network is None else {})
            train(dataset, "finetune", network, out=out, epochs=arguments.epochs, device="cpu", fields=fields)
            found = json.loads((out / "metrics.json").read_text())["last"]
            per_class = {name: one["iou"] for name, one in found["per_class"].items()}
            result.setdefault(case, []).append(
                {key: found[key] for key in ("miou", "pixel_accuracy", "pixels")} | {"iou": per_class}
            )
            print(case, seed, f"{found['miou']:.1%} {found['pixel_accuracy']:.1%}", flush=True)
    for case, runs in result.items():
        for key in ("miou", "pixel_accuracy"):
            values = [100 * run[key] for run in runs]
            print(f"{case}: {key} {statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}", flush=True)
    return result


def main(words: Sequence[str] | None = None) -> None:
    """Run one benchmark and print what it found as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    for name, run in {"size": size, "part": part, "seams": seams, "landcover": landcover}.items():
        verb = verbs.add_parser(name, help=run.__doc__)
        verb.set_defaults(run=run)
        if name != "landcover":
            verb.add_argument("--model", default="pan-street")
        if name in ("size", "part"):
            verb.add_argument("--side", type=int, default=8000 if name == "size" else 100_000)
            verb.add_argument("--tile", type=int, default=1024)
            verb.add_argument("--scratch", default=None, help="a folder with room for the raster")
        if name == "part":
            verb.add_argument("--filled", action="store_true", help="not sparse: smooth patches all over it")
            verb.add_argument("--rows", type=int, default=2, help="rows of tiles to segment")
        if name == "seams":
            verb.add_argument("--scene", required=True)
            verb.add_argument("--side", type=int, default=1536)
        if name == "landcover":
            verb.add_argument("--fields", default="../shared/fields/raster")
            verb.add_argument("--only", default="", help="cases whose name holds this word")
            verb.add_argument("--seeds", type=int, default=3)
            verb.add_argument("--epochs", type=int, default=4)
            verb.add_argument("--out", required=True)
    arguments = parser.parse_args(words)
    print(json.dumps(arguments.run(arguments), indent=1))


if __name__ == "__main__":
    main()
