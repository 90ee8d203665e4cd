"""Every field of a recipe does something: a value that is one thing without the field, and another with it.

The table has a row for each field; the last test fails for a field without one. What the values must be in general (the
recursion of the averaged weights, the formula of a loss, …) is tested where they are computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from timm import create_model
from torch import nn

from pyramid_attention.artifacts import save_model
from pyramid_attention.classes import ClassTable
from pyramid_attention.data import Dataset
from pyramid_attention.data.samples import DecodedSample
from pyramid_attention.errors import UserError
from pyramid_attention.training import Recipe, TrainResult, load_recipe, train, trainer
from pyramid_attention.training.autoconfigure import configure, gather_facts
from pyramid_attention.training.distillation import load_teacher
from pyramid_attention.training.initial import build_network, describe
from pyramid_attention.training.loaders import build_loaders, open_samples
from pyramid_attention.training.recipe import FIELDS
from pyramid_attention.training.resolve import resolve
from pyramid_attention.training.schedule import build_optimizer, build_schedule
from pyramid_attention.training.task import SegmentationTask
from pyramid_attention.training.trainer import build_trainer
from support import geotiff

CPU = torch.device("cpu")
CLASSES = ClassTable.of(["ground", "box"])
BASE = load_recipe(
    Recipe(),
    {
        "data": {"crop": (16, 24), "scale": (1, 1), "flip": False, "cache": False, "workers": 0, "check": False},
        "model": {"backbone": "test_resnet", "pretrained": False, "options": {"channels": 8}},
        "train": {"batch_size": 2},
    },
)

# Data


def gradient() -> DecodedSample:
    """An image that is dark on the left and bright on the right, all of it labelled 1."""
    image = np.broadcast_to(np.linspace(40, 200, 24).astype(np.uint8)[None, :, None], (16, 24, 3)).copy()
    return DecodedSample("gradient", image, np.ones((16, 24), np.uint8))


def loader(recipe: Recipe) -> Any:
    return build_loaders(recipe, [gradient()] * 8, [gradient()], CPU, 0)[0]


def batch(recipe: Recipe) -> dict[str, torch.Tensor]:
    return next(iter(loader(recipe)))


def brighter_on_the_left(recipe: Recipe) -> bool:
    images = torch.cat([one["image"] for one in loader(recipe)]).float()
    return bool((images[..., 0].mean((1, 2)) > images[..., -1].mean((1, 2))).any())


def other_colours(recipe: Recipe) -> bool:
    images = torch.cat([one["image"] for one in loader(recipe)])
    return bool((images != torch.from_numpy(gradient().image).permute(2, 0, 1)).any())


def drawn(recipe: Recipe) -> Dataset:
    return resolve("shapes", recipe)[1]


def on_disk(folder: Path) -> Path:
    """A data set of three splits; the mask of "extra" is half as large as its image."""
    for split, size in (("train", 32), ("val", 32), ("extra", 16)):
        for kind in ("images", "masks"):
            (folder / kind / split).mkdir(parents=True)
        Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(folder / "images" / split / f"{split}.png")
        Image.fromarray(np.ones((size, size), np.uint8)).save(folder / "masks" / split / f"{split}.png")
    (folder / "dataset.yaml").write_text("names: [ground, box, disc]\n")
    return folder


def mask_by_three(recipe: Recipe, folder: Path) -> list[int]:
    """A mask of four pixels of which the first annotator saw one more as an object than two others."""
    (folder / "by").mkdir()
    Image.fromarray(np.full((2, 2, 3), 90, np.uint8)).save(folder / "x.png")
    for annotator, mask in {"a": [[1, 1], [0, 1]], "b": [[0, 1], [0, 1]], "c": [[0, 1], [0, 1]]}.items():
        Image.fromarray(np.array(mask, np.uint8)).save(folder / "by" / f"x_{annotator}.png")
    (sample,) = resolve(folder, recipe)[1].split("train")
    return sample.read_mask().ravel().tolist()


BY_THREE = {"data.images": "{id}.png", "data.masks": "by/{id}_{annotator}.png"}


def read_from(folder: Path, recipe: Recipe) -> Any:
    """The names of the samples of both splits, or what is said of them."""
    try:
        train, val = open_samples(recipe.data, resolve(folder, recipe)[1])
    except UserError as error:
        return str(error)
    return [sample.name for sample in (*train, *val)]


def flat(folder: Path) -> Path:
    """Ten images without a split, a0 … b4, and their masks."""
    for kind, mode in (("images", "RGB"), ("masks", "L")):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for letter in "ab":
            for number in range(5):
                image = Image.new(mode, (32, 32), 0)
                image.paste(1 if mode == "L" else (90, 20 * number, 30), (0, 0, 16, 16))
                image.save(folder / kind / f"{letter}{number}.png")
    return folder


def of_bands(folder: Path) -> Path:
    """Four images of three bands of 16 bits, and their masks."""
    (folder / "masks").mkdir()
    (folder / "images").mkdir()
    for name in "abcd":
        geotiff(folder / "images" / f"{name}.tif", np.zeros((3, 32, 32), np.uint16))
        Image.fromarray(np.eye(32, dtype=np.uint8)).save(folder / "masks" / f"{name}.png")
    return folder


def val_names(recipe: Recipe, folder: Path) -> list[str]:
    return sorted(sample.name for sample in resolve(flat(folder), recipe)[1].split("val"))


def is_refused(recipe: Recipe, folder: Path) -> bool:
    try:
        resolve(flat(folder), recipe)
    except UserError:
        return True
    return False


def renamed(folder: Path) -> dict[str, Any]:
    """What masks mean, as a run records it, under other names."""
    meaning = resolve(flat(folder / "known"), BASE)[0].data.meaning
    assert meaning is not None
    return {**meaning, "classes": ClassTable.of(["ground", "thing"]).to_dict()}


def mask_of_extra(recipe: Recipe, folder: Path) -> Any:
    try:
        return resolve(on_disk(folder), recipe)[1].split("extra")[0].read_mask().shape
    except UserError:
        return "refused"


def broken_file_is_found(recipe: Recipe, folder: Path) -> bool:
    (on_disk(folder) / "images" / "val" / "val.png").write_bytes(b"broken")
    return "val.png" in str(read_from(folder, recipe))


def crop_that_is_chosen(recipe: Recipe) -> Any:
    facts = gather_facts(network(recipe), [gradient()], len(CLASSES), CPU)
    return configure(recipe, facts)[0].data.crop


def times_decoded(recipe: Recipe) -> int:
    """How often the four images of training are decoded in two epochs."""
    count = 0

    class Counting(DecodedSample):
        def read_mask(self) -> Any:
            nonlocal count
            count += 1
            return super().read_mask()

    samples = [Counting(str(i), gradient().image, gradient().mask) for i in range(4)]
    train, val = open_samples(recipe.data, Dataset("own", None, CLASSES, {"train": samples, "val": [gradient()]}))
    batches, _ = build_loaders(recipe, train, val, CPU, 0)
    for _ in range(2):
        list(batches)
    return count


# The network


def network(recipe: Recipe) -> Any:
    return build_network(describe(recipe.model), CLASSES, recipe.seed)


def first_weight(recipe: Recipe) -> float:
    return float(next(network(recipe).backbone.parameters()).flatten()[0])


def quarter_weights(folder: Path) -> str:
    """A file with weights of the backbone, all of them 0.25."""
    state = create_model("test_resnet", pretrained=False).state_dict()
    torch.save({name: torch.full_like(value, 0.25) for name, value in state.items()}, folder / "weights.pth")
    return str(folder / "weights.pth")


def trained_model(folder: Path) -> str:
    save_model(network(load_recipe(BASE, {"model.options.channels": 12})), folder / "trained")
    return str(folder / "trained")


def rows_of_context(recipe: Recipe) -> int:
    """Of the context's map for an image of 64 × 64."""
    net = network(recipe).eval()
    return int(net.context(net.backbone(torch.zeros(1, 3, 64, 64))[-1]).shape[2])


# Training


def parameters(recipe: Recipe, part: str = "head") -> dict[str, Any]:
    """What the optimiser does with the weights of a part."""
    net = nn.ModuleDict({"backbone": nn.Conv2d(3, 4, 1), "head": nn.Conv2d(4, 2, 1)})
    groups = build_optimizer(net, net["backbone"], recipe.train).param_groups
    return next(one for one in groups if any(weight is net[part].weight for weight in one["params"]))


def rates(recipe: Recipe) -> list[float]:
    """The rates of the steps 0, 4 and 6 of 8, as multiples of the highest."""
    net = nn.Conv2d(3, 4, 1)
    optimizer = build_optimizer(net, net, recipe.train)
    schedule = build_schedule(optimizer, 8, recipe.train)
    found = []
    for _ in range(8):
        found.append(round(schedule.get_last_lr()[0] / recipe.train.learning_rate, 4))
        optimizer.step()
        schedule.step()
    return [found[0], found[4], found[6]]


def task(recipe: Recipe) -> SegmentationTask:
    return SegmentationTask(network(recipe), recipe, 8)


def loss(recipe: Recipe) -> float:
    """Of two pixels: one of class 0 with probability 0.9, one of class 1 with 0.5."""
    logits = torch.tensor([[math.log(9), 0.0], [0.0, 0.0]]).view(1, 2, 2)  # class × pixel
    return round(task(recipe).loss(logits.unsqueeze(-1), torch.tensor([[[0], [1]]])).item(), 4)


def certain_teacher(folder: Path) -> str:
    """A trained model that gives every pixel the classes' probabilities 0.9 and 0.1."""
    net = network(BASE)
    with torch.no_grad():
        net.head.weight.zero_()
        net.head.bias.copy_(torch.tensor([math.log(9), 0.0]))
    save_model(net, folder / "teacher")
    return str(folder / "teacher")


def taught(recipe: Recipe) -> float:
    """The teacher's part of the loss of a network to which both classes are equally likely."""
    teacher = load_teacher(recipe.train, network(recipe))
    pixels, labels = torch.zeros(1, 3, 32, 32, dtype=torch.uint8), torch.zeros(1, 32, 32, dtype=torch.long)
    return 0.0 if teacher is None else round(teacher.loss(torch.zeros(1, 2, 32, 32), pixels, labels).item(), 4)


def taught_by_the_certain(recipe: Recipe, folder: Path) -> float:
    return taught(load_recipe(recipe, {"train.teacher": certain_teacher(folder)}))


def averages(recipe: Recipe) -> bool:
    one = task(recipe)
    return one.best_network is not one.network


def channels_last(recipe: Recipe) -> bool:
    pixels = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    return task(recipe).normalise(pixels).is_contiguous(memory_format=torch.channels_last)


def started(recipe: Recipe, folder: Path) -> int | str:
    """How many processes a training starts; 0 where it stays in this one."""
    begun: list[int] = []

    def start(processes: int, *_: object) -> TrainResult:
        begun.append(processes)
        return TrainResult(folder, folder, 0.0, 1, "val")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "machine_devices", lambda kind: 8)
        patch.setattr(trainer, "launch", start)
        patch.setattr(trainer, "_train", lambda *_: begun.append(0))
        try:
            train("shapes", recipe, out=folder / "run", device="cpu")
        except UserError as error:
            return str(error).partition(",")[0]
    return begun[0]


LIKELY, UNSURE = -math.log(0.9), -math.log(0.5)
"""The cross-entropies of the two pixels."""
KL = 0.9 * math.log(1.8) + 0.1 * math.log(0.2)
KL_AT_2 = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)  # the square root of 9 : 1 is 3 : 1
"""The divergence of equal probabilities from 0.9 and 0.1, and from those at temperature 2."""
SMOOTH = [0.8 * own + 0.2 * (own + other) / 2 for own, other in ((LIKELY, -math.log(0.1)), (UNSURE, UNSURE))]


class Case(NamedTuple):
    """A field, another value of it, what is looked at, and what that is before and after."""

    field: str
    value: Any
    look: Callable[[Recipe, Path], Any]
    before: Any
    after: Any
    beside: dict[str, Any] = {}  # noqa: RUF012  # a NamedTuple's default is shared, and only read
    """Other fields, before and after, without which this one has nothing to do."""


def of_trainer(name: str) -> Callable[[Recipe, Path], Any]:
    return lambda recipe, folder: getattr(build_trainer(folder, recipe.train, CPU, []), name)


CASES = [
    Case("seed", 7, lambda r, _: first_weight(r) == first_weight(BASE), True, False),
    Case("auto", ["data.crop"], lambda r, _: crop_that_is_chosen(r), (16, 24), (32, 32)),
    Case("data.path", "else", lambda r, _: r.differences(BASE), [], ["data.path"]),  # a record; `resolve` fills it in
    Case("data.format", "voc", lambda r, f: "not in" in str(read_from(on_disk(f), r)), False, True),
    Case("data.options", {"train": 3}, lambda r, _: len(drawn(r).split("train")), 1000, 3),
    Case("data.train_split", "extra", lambda r, f: read_from(on_disk(f), r), ["train", "val"], ["extra", "val"]),
    Case("data.val_split", "extra", lambda r, f: read_from(on_disk(f), r), ["train", "val"], ["train", "extra"]),
    Case("data.classes", {"all": ["disc", "ring"]}, lambda r, _: len(drawn(r).classes), 7, 1),
    Case("data.resize_masks", True, mask_of_extra, "refused", (32, 32)),
    Case("data.reduce", 4, lambda r, _: open_samples(r.data, drawn(r))[1][0].read_mask().shape, (256, 256), (64, 64)),
    Case("data.crop", (9, 17), lambda r, _: tuple(batch(r)["image"].shape), (2, 3, 16, 24), (2, 3, 9, 17)),
    Case("data.scale", (0.5, 0.5), lambda r, _: int((batch(r)["mask"] == 1).sum()), 2 * 16 * 24, 2 * 8 * 12),
    Case("data.flip", True, lambda r, _: brighter_on_the_left(r), False, True),
    Case("data.jitter", 0.5, lambda r, _: other_colours(r), False, True),
    Case("data.noise", 0.1, lambda r, _: other_colours(r), False, True),
    Case("data.cache", True, lambda r, _: times_decoded(r), 8, 4),
    Case("data.workers", 2, lambda r, _: loader(r).num_workers, 0, 2),
    Case("data.images", "nowhere/{id}.png", is_refused, False, True),
    Case("data.masks", "nowhere/{id}.png", is_refused, False, True),
    Case("data.annotators", "majority", mask_by_three, [1, 1, 0, 1], [0, 1, 0, 1], BY_THREE),
    Case("data.group", "^.", lambda r, f: len(val_names(r, f)), 1, 5),
    Case("data.bands", ("3", "1"), lambda r, f: resolve(of_bands(f), r)[1].bands.names, ("1", "2", "3"), ("3", "1")),
    Case("data.val", 0.5, lambda r, f: len(val_names(r, f)), 1, 6),
    Case("data.held_out", ("a3",), lambda r, f: val_names(r, f) == ["a3"], False, True),
    Case("data.meaning", renamed, lambda r, f: "thing" in resolve(flat(f), r)[1].classes.names, False, True),
    Case("data.check", True, broken_file_is_found, False, True),
    Case("model.init", trained_model, lambda r, _: describe(r.model).options["channels"], 8, 12),
    Case("model.architecture", "pspnet", lambda r, _: type(network(r).context).__name__, "FPA", "PPM"),
    Case("model.context", "ppm", lambda r, _: type(network(r).context).__name__, "FPA", "PPM"),
    Case("model.decoder", "dfn", lambda r, _: type(network(r).decoder).__name__, "GAUDecoder", "DFNDecoder"),
    Case("model.backbone", "resnet10t", lambda r, _: network(r).backbone.channels[-1], 96, 512),
    Case("model.pretrained", quarter_weights, lambda r, _: first_weight(r) == 0.25, False, True),
    Case("model.output_stride", 32, lambda r, _: rows_of_context(r), 4, 2),
    Case("model.options", {"channels": 16}, lambda r, _: network(r).decoder.out_channels, 8, 16),
    Case("train.epochs", 3, of_trainer("max_epochs"), 100, 3),
    Case("train.batch_size", 3, lambda r, _: len(batch(r)["image"]), 2, 3),
    Case("train.accumulate", 4, of_trainer("accumulate_grad_batches"), 1, 4),
    Case("train.optimizer", "adamw", lambda r, _: "betas" in parameters(r), False, True),
    Case("train.learning_rate", 0.5, lambda r, _: parameters(r)["lr"], 4e-3, 0.5),
    Case("train.backbone_factor", 0.25, lambda r, _: parameters(r, "backbone")["lr"], 4e-3, 1e-3),
    Case("train.momentum", 0.5, lambda r, _: parameters(r)["momentum"], 0.9, 0.5),
    Case("train.weight_decay", 0.5, lambda r, _: parameters(r)["weight_decay"], 1e-4, 0.5),
    Case("train.clip", 2.0, of_trainer("gradient_clip_val"), None, 2.0),
    Case("train.schedule", "cosine", lambda r, _: rates(r), [1, 0.5**0.9, 0.25**0.9], [1, 0.5, 0.5 - 0.5**1.5]),
    Case("train.power", 2.0, lambda r, _: rates(r), [1, 0.5**0.9, 0.25**0.9], [1, 0.25, 0.0625]),
    Case("train.warmup", 0.5, lambda r, _: rates(r), [1, 0.5**0.9, 0.25**0.9], [0.2, 1, 0.5**0.9]),
    Case("train.loss", "ohem", lambda r, _: loss(r), (LIKELY + UNSURE) / 2, UNSURE),
    Case("train.class_weights", (3, 1), lambda r, _: loss(r), (LIKELY + UNSURE) / 2, (3 * LIKELY + UNSURE) / 4),
    Case("train.label_smoothing", 0.2, lambda r, _: loss(r), (LIKELY + UNSURE) / 2, sum(SMOOTH) / 2),
    Case("train.ohem_threshold", 0.95, lambda r, _: loss(r), UNSURE, (LIKELY + UNSURE) / 2, {"train.loss": "ohem"}),
    Case("train.ohem_keep", 1.0, lambda r, _: loss(r), UNSURE, (LIKELY + UNSURE) / 2, {"train.loss": "ohem"}),
    Case("train.teacher", certain_teacher, lambda r, _: taught(r), 0.0, KL),
    Case("train.teacher_weight", 0.5, taught_by_the_certain, KL, KL / 2),
    Case("train.teacher_temperature", 2.0, taught_by_the_certain, KL, 4 * KL_AT_2),
    Case("train.ema", 0.9, lambda r, _: averages(r), False, True),
    Case("train.precision", "bf16", of_trainer("precision"), "32-true", "bf16-mixed"),
    Case("train.compile", True, lambda r, _: hasattr(task(r)._forward, "_torchdynamo_orig_callable"), False, True),
    Case("train.channels_last", True, lambda r, _: channels_last(r), False, True),
    Case("train.validate_every", 5, of_trainer("check_val_every_n_epoch"), 1, 5),
    Case("train.devices", 3, started, 0, 3),
    Case("train.nodes", 2, started, 0, "train.nodes=2"),
    Case("train.strategy", "ddp", started, 0, 1),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.field)
def test_a_field_changes_what_it_is_for(case: Case, tmp_path: Path) -> None:
    value = case.value(tmp_path) if callable(case.value) else case.value
    base = load_recipe(BASE, case.beside)
    for name, recipe, expected in (
        ("before", base, case.before),
        ("after", load_recipe(base, {case.field: value}), case.after),
    ):
        (tmp_path / name).mkdir()
        found = case.look(recipe, tmp_path / name)
        assert found == (pytest.approx(expected, abs=1e-4) if isinstance(expected, (float, list)) else expected), name


def test_every_field_is_in_the_table() -> None:
    assert sorted(case.field for case in CASES) == sorted(FIELDS)
