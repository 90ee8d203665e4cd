"""The recipe: everything that decides what a training run does, validated once, at the edge.

A recipe is a YAML file of three groups and a seed. The built-in ones lie beside this file in `recipes/`; a file of the
user's may name one of them under `base` and change only what differs. `--set train.epochs=5` overrides a single field.
The resolved recipe is written into the run folder, so that a run can be repeated from it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import UserError, nearest
from ..files import whole_file
from .initial import load_trained, model_fields

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable  # from Python 3.11 on

Positive = Annotated[int, Field(ge=1, le=2**31, strict=True)]
Fraction = Annotated[float, Field(ge=0, le=1)]

WHOLE = ("data.classes",)
"""Fields whose entries belong together, and in their order: a value takes the place of another, it is not laid over."""


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
    """Which network; `options` go to its context and decoder (see `build_model`).

    With `init` the network is that of a trained model, changed where other fields are given beside it, in the same file
    or on the same command line; what the recipe below says of `model` is void. A `backbone` beside `init` describes the
    network anew, and only the weights come from the trained model.
    """

    init: str | None = Field(None, description="a trained model whose network and weights to start from")
    architecture: str = "pan"
    context: str | None = None
    decoder: str | None = None
    backbone: str = "resnet18"
    pretrained: bool | str = Field(True, description="start from ImageNet weights, or a file's")
    output_stride: Literal[8, 16, 32] = 16
    in_channels: Positive = 3
    options: dict[str, Any] = Field(default_factory=dict, description="channels, kernels, gate, …")

    @model_validator(mode="after")
    def _fits_images(self) -> ModelRecipe:
        if self.in_channels != 3:
            raise ValueError(
                "training reads RGB images, so in_channels must be 3 (other values work in build_model only)"
            )
        misplaced = sorted(self.options.keys() & {*type(self).model_fields, "num_classes"})
        if misplaced:
            raise ValueError(f"{', '.join(misplaced)} is no option: set it as model.NAME (num_classes is the data's)")
        return self


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
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(None, description="decay of the averaged weights")
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    channels_last: bool = False
    validate_every: Positive = Field(1, description="epochs between validations; the last epoch always validates")


class Recipe(_Group):
    """A whole recipe."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    data: DataRecipe = DataRecipe()
    model: ModelRecipe = ModelRecipe()
    train: TrainRecipe = TrainRecipe()

    def with_data(self, path: str, format: str) -> Recipe:
        """The same recipe, resolved for the data set at `path`."""
        return self.model_copy(update={"data": self.data.model_copy(update={"path": path, "format": format})})

    def to_yaml(self) -> str:
        """As YAML, every field written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def save(self, path: Path) -> None:
        """Write as YAML, whole or not at all."""
        with whole_file(path) as temporary:
            temporary.write_text(self.to_yaml())

    def differences(self, other: Recipe) -> list[str]:
        """The dotted names of the fields in which two recipes differ."""
        mine, theirs = _flatten(self.model_dump(mode="json")), _flatten(other.model_dump(mode="json"))
        return sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))


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


BUILT_IN = resources.files(__package__) / "recipes"


def list_named(folder: Traversable) -> list[str]:
    """Names of the built-in YAML files of a folder, without suffix."""
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def list_recipes() -> list[str]:
    """Names of the built-in recipes."""
    return list_named(BUILT_IN)


def read_named(what: str, name: str | Path, built_in: Traversable) -> Any:
    """What a YAML file holds: a built-in one by its name, or the user's by its path.

    Args:
        what: it is called in messages ("recipe").
        name: of a file in `built_in` without suffix, or a path that ends in .yaml or .yml.
        built_in: the folder of the built-in ones.

    Raises:
        UserError: there is no such file, or it cannot be read or is no YAML.
    """
    if str(name) in list_named(built_in):
        text = (built_in / f"{name}.yaml").read_text(encoding="utf-8")
    elif Path(name).suffix in (".yaml", ".yml"):
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise UserError(f"cannot read the {what} {name}: {reason}") from None
    else:
        raise UserError(f"no {what} is called '{name}'.{nearest(str(name), list_named(built_in))} A file ends in .yaml")
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # an impossible date is a ValueError
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where else ""
        raise UserError(f"the {what} {name} is not valid YAML{line}: {getattr(error, 'problem', error)}") from None


def _read_tree(name: str | Path, using: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of a built-in recipe or of a file, laid over those of its `base`."""
    if str(name) in using:
        raise UserError(f"recipe {name} is its own base ({' → '.join((*using, str(name)))}); name another under 'base'")
    tree = read_named("recipe", name, BUILT_IN) or {}
    if not isinstance(tree, dict):
        raise UserError(f"the recipe {name} must be a list of 'field: value' lines, not {type(tree).__name__}")
    base = tree.pop("base", None)
    if base is None:
        return _laid_over({}, tree)
    if not isinstance(base, str):
        raise UserError(f"the recipe {name} has the base {base!r}; write the name of a recipe or a .yaml file")
    if base not in list_recipes():
        base = Path(name).parent / base
    return _laid_over(_read_tree(base, (*using, str(name))), tree)


def _merge(below: dict[str, Any], above: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        name = f"{prefix}{key}"
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping) and name not in WHOLE
        merged[key] = _merge(merged[key], value, f"{name}.") if both else value
    return merged


def _parse_override(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set takes field=value (as in train.epochs=5), not '{text}'")
    try:
        tree: Any = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):
        tree = value
    for part in reversed(key.strip().split(".")):
        tree = {part: tree}
    return dict(tree)


def _explain(error: ValidationError) -> str:
    """The first fault of a recipe in one line: which field, what is wrong, which field was perhaps meant."""
    first = error.errors()[0]
    names = [part for part in first["loc"] if isinstance(part, str)]
    fields = [*_flatten(Recipe().model_dump()), "data", "model", "train", "data.options", "model.options"]
    if first["type"] == "extra_forbidden":
        elsewhere = [field for field in fields if field.split(".")[-1] == names[-1]]  # right, but in another group
        return f"the recipe has no field '{'.'.join(names)}'.{nearest('.'.join(names), elsewhere or fields)}"
    while len(names) > 1 and ".".join(names) not in fields:  # drop pydantic's names of the branches of a union
        names.pop()
    message = first["msg"].removeprefix("Value error, ")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    got = "" if isinstance(first["input"], Mapping) or names == [] else f", not {first['input']!r}"
    return f"recipe field '{'.'.join(names)}': {message[:1].lower()}{message[1:]}{got}{more}"


def _with_network(layer: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """A file's or the command line's fields, with the network of the trained model that they start from, if any.

    Also whether there is one: then its `model` takes the place of what lies below.
    """
    model = layer.get("model")
    if not isinstance(model, Mapping) or not isinstance(model.get("init"), str) or "backbone" in model:
        return layer, False
    return {**layer, "model": _merge(model_fields(load_trained(model["init"])), model)}, True


def _laid_over(below: dict[str, Any], layer: dict[str, Any]) -> dict[str, Any]:
    layer, anew = _with_network(layer)
    return _merge({**below, "model": {}} if anew else below, layer)


def load_recipe(recipe: str | Path | Recipe, overrides: Iterable[str] = ()) -> Recipe:
    """Read and validate a recipe.

    Args:
        recipe: the name of a built-in one (`list_recipes`), a .yaml file, or a recipe.
        overrides: `group.field=value` each, the value as YAML; later ones win.

    Raises:
        UserError: an unknown recipe, a file that cannot be read, an unknown field (with the nearest names), or a value
            of the wrong type or range.
    """
    tree = recipe.model_dump(mode="json") if isinstance(recipe, Recipe) else _read_tree(recipe)
    given: dict[str, Any] = {}
    for override in overrides:
        given = _merge(given, _parse_override(override))
    try:
        return Recipe.model_validate(_laid_over(tree, given))
    except ValidationError as error:
        raise UserError(_explain(error)) from None
