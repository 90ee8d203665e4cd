"""What several tests need."""

import csv
import json
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import nn

CAMVID = Path(__file__).parents[2] / "shared" / "camvid"
"""Real images, where they are; a test that uses them skips where they are not."""


def set_options(fields: Mapping[str, Any]) -> list[str]:
    """Recipe fields as words of the command line."""
    return [word for name, value in fields.items() for word in ("--set", f"{name}={json.dumps(value)}")]


def shaken(module):
    """In evaluation mode, with statistics and biases unlike those at the start."""
    torch.manual_seed(1)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.3)
            nn.init.normal_(norm.running_mean, std=0.3)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return module.eval()


WRITING = "held = files.whole_file(folder + '/a.png'); open(held.__enter__(), 'w').write('half')"
OWNING = "held = files.owned(folder, 'run'); held.__enter__()"
CLAIMING = "held = files.Claims(folder); held.__enter__().take('x')"
"""What a process is doing in a folder when it is killed."""


def other_process(code: str, folder: Path) -> subprocess.Popen[str]:
    """A Python that has done `code` in `folder` (printing "ready" then) and waits to be killed."""
    start = "import sys, pyramid_attention.files as files; folder = sys.argv[1]\n"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{start}{code}\nprint('ready', flush=True); sys.stdin.read()", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


UTM = (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0)
"""An affine transform: pixels of 10 m."""


def geotiff(path: Path, values: np.ndarray, **options: Any) -> Path:
    """Write B×H×W as a GeoTIFF in UTM 32N."""
    import rasterio  # of the extra geo
    from rasterio.transform import Affine

    names = options.pop("names", ())
    profile = {"crs": "EPSG:32632", "transform": Affine(*UTM)} | options
    count, height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=values.dtype.name, **profile
    ) as file:
        file.write(values)
        for index, name in enumerate(names, 1):
            file.set_band_description(index, name)
    return path


def training(data: Path, out: Path) -> list[str]:
    """The words that train the smallest network for one epoch."""
    fields = [
        "data.crop=[32, 32]",
        "data.workers=0",
        "model.backbone=test_resnet",
        "model.pretrained=false",
        "model.options.channels=8",
        "train.batch_size=2",
        "train.epochs=1",
    ]
    settings = [word for field in fields for word in ("--set", field)]
    return ["train", str(data), "--recipe", "finetune", "--device", "cpu", "--out", str(out), *settings]


def rows(run: Path) -> list[dict[str, str]]:
    """The epochs of a run folder."""
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def last_weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def assert_same_weights(a: Path, b: Path) -> None:
    mine, theirs = last_weights(a), last_weights(b)
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        assert torch.equal(tensor, theirs[name]), name


def mutated(content: bytes, draw: random.Random) -> bytes:
    """The bytes with one fault of those that disks, transfers and editors make: they are never the same bytes."""
    changed, place = bytearray(content), draw.randrange(len(content))
    kind = draw.randrange(5)
    if kind == 0:
        changed[place] ^= 1 << draw.randrange(8)
    elif kind == 1:
        changed[place] = 0xFF  # which no text holds
    elif kind == 2:
        del changed[place:]
    elif kind == 3:
        changed[place : place + 64] = bytes(len(changed[place : place + 64]))
    else:
        changed[place:place] = draw.randbytes(draw.randrange(1, 64))
    return mutated(content, draw) if changed == content else bytes(changed)


def brightest() -> onnx.ModelProto:
    """A graph as exported files have it, quickly made: the class of a pixel is its brightest channel."""
    nodes = [
        helper.make_node("Transpose", ["images"], ["channels"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["channels"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pixels", "weight"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["classes"], axis=1, keepdims=0),
        helper.make_node("Cast", ["classes"], ["labels"], to=TensorProto.UINT8),
    ]
    sizes = ["batch", "height", "width"]
    graph = helper.make_graph(
        nodes,
        "brightest",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, [*sizes, 3])],
        [
            helper.make_tensor_value_info("labels", TensorProto.UINT8, sizes),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3, "height", "width"]),
        ],
        [helper.make_tensor("weight", TensorProto.FLOAT, [1, 3, 1, 1], [1.0, 1.0, 1.0])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
