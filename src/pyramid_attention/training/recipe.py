"""The recipe: everything that decides what a training run does, validated once, at the edge.

A recipe has three groups and a seed. It is read from a YAML file (`recipe_files.py`), and single fields are laid over
it: `--set train.epochs=5`. The resolved recipe is written into the run folder, so that a run can be repeated from it
alone. Reading a recipe needs no PyTorch, and no trained model that it may name: that is resolved when the network is
built (`initial.describe`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from ..errors import UserError, nearest
from ..files import whole_file
from .recipe_files import WHOLE, lay_over, read_tree, tree_of

Positive = Annotated[int, Field(ge=1, le=2**31, strict=True)]
Fraction = Annotated[float, Field(ge=0, le=1)]
OutputStride = Literal[8, 16, 32]
Auto = Literal[
    "data.crop", "data.scale", "train.batch_size", "train.learning_rate", "train.epochs", "train.validate_every"
]
"""Fields that can follow from the data and the machine, see `autoconfigure.py`."""


def _are_options(options: dict[str, Any]) -> dict[str, Any]:
    misplaced = sorted(options.keys() & {*ModelRecipe.model_fields, "num_classes", "in_channels"})
    if misplaced:
        raise ValueError(f"{', '.join(misplaced)} is no option: set it as model.NAME, or leave it to the data")
    return options


Options = Annotated[dict[str, Any], AfterValidator(_are_options)]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class DataRecipe(_Group):
    """What is read and how a training image is varied."""

    path: str | None = Field(None, description="the data set: a folder, or 'shapes'; filled in from the command line")
    format: str | None = Field(None, description="the reader's name; found by looking where it is not given")
    options: dict[str, Any] = Field(default_factory=dict, description="of the synthetic images: seed, train, size, …")
    train_split: str = "train"
    val_split: str = "val"
    classes: Annotated[dict[str, Annotated[list[str], Field(min_length=1)]], Field(min_length=1)] | None = Field(
        None, description="new classes, each with those of the data set that it merges; what is in none is void"
    )
    images: str | None = Field(None, description="a pattern of the images: photos/{split}/{id}.jpg; found by looking")
    masks: str | None = Field(None, description="a pattern of the masks: truth/{split}/{id}_label.png")
    annotators: Literal["first", "majority"] = Field("first", description="of masks by several annotators")
    group: str | None = Field(None, description="regular expression: what it matches in a name stays in one split")
    val: Annotated[float, Field(ge=0, lt=1)] = Field(0.2, description="share of train held out where there is no val")
    held_out: float | tuple[str, ...] | None = Field(
        None, description="what is held out: hashes below a number, or groups by name; filled in by the run"
    )
    meaning: dict[str, Any] | None = Field(None, description="what the masks' values mean; filled in by the run")
    bands: Annotated[tuple[str | int, ...], Field(min_length=1)] | None = Field(
        None, description="of rasters, by name or number (from 1), in order; all where none are given"
    )
    resize_masks: bool = Field(False, description="bring masks of another size, but the same shape, to the image's")
    reduce: Positive = Field(1, description="make images and masks this many times smaller first")
    crop: tuple[Positive, Positive] = Field((512, 512), description="height and width of a training image, in pixels")
    scale: tuple[float, float] = Field((0.5, 2.0), description="range of the random enlargement before the crop")
    flip: bool = Field(True, description="mirror every second image left to right")
    jitter: Fraction = Field(0.0, description="strength of random brightness, contrast and saturation")
    noise: Fraction = Field(0.0, description="largest deviation of Gaussian noise on every second image (1: 255)")
    cache: bool | Literal["auto"] = Field("auto", description="keep decoded images in memory; auto: up to 4 GiB")
    workers: Annotated[int, Field(ge=0)] | None = Field(None, description="loader processes; by default what fits")
    check: bool = Field(True, description="decode every image and mask once before training, to find faults early")

    @model_validator(mode="after")
    def _scale_is_a_range(self) -> DataRecipe:
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError("scale must be two numbers, smallest first, above 0")
        return self


class ModelRecipe(_Group):
    """A network described afresh; `options` go to its context and decoder (see `build_model`).

    With `init` as many of a trained model's weights as fit it are taken over.
    """

    init: str | None = Field(None, description="a trained model to take weights from")
    architecture: str = "pan"
    context: str | None = None
    decoder: str | None = None
    backbone: str = "resnet18"
    pretrained: bool | str = Field(True, description="start from ImageNet weights, or a file's")
    output_stride: OutputStride = 16
    options: Options = Field(default_factory=dict, description="channels, kernels, gate, …")


class ChangedModelRecipe(_Group):
    """The network and the weights of a trained model, changed in the fields that are given."""

    init: str
    architecture: str | None = None
    context: str | None = None
    decoder: str | None = None
    pretrained: bool | str = False
    output_stride: OutputStride | None = None
    options: Options = Field(default_factory=dict, description="laid over the trained model's")


def _kind(model: Any) -> str:
    """Which of the two a recipe's `model` is: one that names a trained model, and no backbone, is that with changes."""
    if isinstance(model, Mapping):
        changed = model.get("init") is not None and model.get("backbone") is None
    else:
        changed = isinstance(model, ChangedModelRecipe)
    return "changed" if changed else "afresh"


class TrainRecipe(_Group):
    """How the weights are found."""

    epochs: Positive = 100
    batch_size: Positive = 16
    accumulate: Positive = Field(1, description="batches whose gradients are averaged for a step")
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0)] = 4e-3
    backbone_factor: Annotated[float, Field(gt=0)] = Field(1.0, description="the backbone's rate, as a multiple of it")
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    clip: Annotated[float, Field(gt=0)] | None = Field(None, description="largest norm of the gradient")
    schedule: Literal["poly", "cosine"] = "poly"
    power: Annotated[float, Field(gt=0)] = Field(0.9, description="exponent of the poly schedule")
    warmup: Fraction = Field(0.0, description="share of all steps during which the rate rises from 0")
    loss: Literal["cross_entropy", "ohem", "dice", "cross_entropy+dice", "ohem+dice"] = "cross_entropy"
    class_weights: tuple[Annotated[float, Field(ge=0)], ...] | None = Field(None, description="one for each class")
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    ohem_threshold: Fraction = Field(0.7, description="pixels whose true class is less likely than this are hard")
    ohem_keep: Fraction = Field(0.1, description="share of the pixels that is kept at least")
    teacher: str | None = Field(None, description="a trained model of the same classes whose probabilities are learnt")
    teacher_weight: Annotated[float, Field(ge=0)] = Field(1.0, description="of the teacher beside the labels' loss")
    teacher_temperature: Annotated[float, Field(gt=0)] = Field(
        1.0, description="what both networks' logits are divided by for the teacher's part; softer above 1"
    )
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(None, description="decay of the averaged weights")
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    channels_last: bool = False
    validate_every: Positive = Field(1, description="epochs between validations; the last epoch always validates")
    devices: Positive = Field(1, description="GPUs of each machine, or processes where it computes on the CPU")
    nodes: Positive = Field(1, description="machines; several are started by torchrun or SLURM")
    strategy: Literal["auto", "ddp"] = Field("auto", description="how devices share a batch; auto: ddp for several")


class Recipe(_Group):
    """A whole recipe; `model` is None for a network that was given to `train` as an object."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    auto: tuple[Auto, ...] = Field((), description="fields that follow from the data and the machine")
    data: DataRecipe = DataRecipe()
    model: (
        Annotated[
            Annotated[ModelRecipe, Tag("afresh")] | Annotated[ChangedModelRecipe, Tag("changed")], Discriminator(_kind)
        ]
        | None
    ) = ModelRecipe()
    train: TrainRecipe = TrainRecipe()

    def with_data(self, path: str | None, format: str, reading: Mapping[str, Any]) -> Recipe:
        """Return the recipe as resolved for the data set at `path`, read as `reading` says (see `data.Reading`)."""
        resolved = self.data.model_copy(update={"path": path, "format": format, **reading})
        return self.model_copy(update={"data": resolved})

    def with_fields(self, values: Mapping[str, Any]) -> Recipe:
        """Return the recipe with other values of fields, by their dotted names; they are taken as valid."""
        changed: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            group, _, field = name.partition(".")
            changed.setdefault(group, {})[field] = value
        groups = {group: getattr(self, group).model_copy(update=fields) for group, fields in changed.items()}
        return self.model_copy(update=groups)

    def to_yaml(self, reasons: Mapping[str, str] | None = None) -> str:
        """Return the recipe as YAML, every field written out, with its reason behind a field that has one."""
        text = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        for name, why in (reasons or {}).items():
            group, _, field = name.partition(".")
            line = re.search(rf"(?ms)^{group}:$.*?^  {field}:.*?$", text)
            assert line is not None
            text = f"{text[: line.end()]}  # {why}{text[line.end() :]}"
        return text

    def save(self, path: Path, reasons: Mapping[str, str] | None = None) -> None:
        """Write the recipe as YAML (see `to_yaml`), whole or not at all."""
        with whole_file(path) as temporary:
            temporary.write_text(self.to_yaml(reasons), encoding="utf-8")

    def differences(self, other: Recipe) -> list[str]:
        """Return the dotted names of the fields in which two recipes differ."""
        mine, theirs = _flatten(self.model_dump(mode="json")), _flatten(other.model_dump(mode="json"))
        return sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))


class CommonFields(TypedDict, total=False):
    """The recipe fields that are changed most, as keywords of `train`: an editor completes them.

    Whatever field is missing here goes into the `fields` of `train` by its dotted name. A test holds names and types to
    those of the recipe.
    """

    seed: int
    init: str | None
    architecture: str
    backbone: str
    pretrained: bool | str
    crop: tuple[int, int]
    workers: int | None
    epochs: int
    batch_size: int
    learning_rate: float
    loss: Literal["cross_entropy", "ohem", "dice", "cross_entropy+dice", "ohem+dice"]
    class_weights: tuple[float, ...] | None
    ema: float | None
    precision: Literal["fp32", "bf16", "fp16"]


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if not isinstance(value, Mapping):
            flat[name] = value
        elif name in WHOLE:
            flat[name] = list(value.items())  # two mappings are equal in any order, and here the order counts
        else:
            flat |= _flatten(value, f"{name}.")
    return flat


FIELDS = ("data.options", "model.options", *_flatten(Recipe().model_dump()))
"""The dotted names of all fields."""


def dotted(common: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields by their dotted names, given by the last part of them: {"epochs": 5} is {"train.epochs": 5}.

    A name that is no field, or several, stays as it is, for `load_recipe` to refuse.
    """
    names = {name.rpartition(".")[2]: name for name in FIELDS if not name.endswith(".options")}
    return {names.get(name, name): value for name, value in common.items()}


def _explain(error: ValidationError) -> str:
    """Say the first fault of a recipe in one line: which field, what is wrong, which field was perhaps meant."""
    first = error.errors()[0]
    names = [part for part in first["loc"] if isinstance(part, str) and part not in ("afresh", "changed")]
    fields = [*FIELDS, "data", "model", "train"]
    if first["type"] == "extra_forbidden":
        near = get_close_matches(names[-1], {field.rpartition(".")[2] for field in fields}, cutoff=0.8)
        elsewhere = [field for field in fields if field.rpartition(".")[2] in near]  # perhaps of another group
        hint = nearest(".".join(names), elsewhere or fields)
        if len(elsewhere) == 1:
            hint = f" Did you mean '{elsewhere[0]}'?"
        return f"the recipe has no field '{'.'.join(names)}'.{hint}"
    while len(names) > 1 and ".".join(names) not in fields:  # drop pydantic's names of the branches of a union
        names.pop()
    message = first["msg"].removeprefix("Value error, ")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    got = "" if isinstance(first["input"], Mapping) or names == [] else f", not {first['input']!r}"
    return f"recipe field '{'.'.join(names)}': {message[:1].lower()}{message[1:]}{got}{more}"


def load_recipe(recipe: str | Path | Recipe, fields: Mapping[str, Any] | None = None) -> Recipe:
    """Read and validate a recipe.

    Args:
        recipe: the name of a built-in one (`list_recipes`), a .yaml file, or a recipe.
        fields: others to take the place of the recipe's, by their dotted names: {"train.epochs": 5}.

    Raises:
        UserError: an unknown recipe, a file that cannot be read, an unknown field (with the nearest names), or a value
            of the wrong type or range.
    """
    tree = recipe.model_dump(mode="json") if isinstance(recipe, Recipe) else read_tree(recipe)
    try:
        return Recipe.model_validate(lay_over(tree, tree_of(fields or {})))
    except ValidationError as error:
        raise UserError(_explain(error)) from None
