"""A study: variants of one recipe, each trained with several seeds and the same budget.

    title: Which gate
    seeds: [0, 1, 2]
    reference: channel                 # the variant the others are compared with
    fields: {train.epochs: 20}         # of the recipe, for every variant
    variants:
      channel: {model.options.gate: channel}
      none: {model.options.gate: none}

Without a `recipe` the one that fits the data is used, as in `pan train`; a file is looked for beside the study. The
built-in studies lie beside this file in `ablations/`.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from ..errors import UserError, nearest
from ..training.recipe_files import list_named, read_named

BUDGET = ("seed", "train.epochs", "train.batch_size", "train.accumulate")
"""What no variant may change: each is given as much."""

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Name = Annotated[str, StringConstraints(pattern=r"^\w[\w.+-]*$")]
Fields = dict[str, Any]
"""Recipe fields by their dotted names."""


class Study(BaseModel):
    """What is compared."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    reference: Name
    seeds: tuple[Seed, ...] = Field((0, 1, 2), min_length=1)
    recipe: str | None = None
    fields: Fields = {}
    variants: dict[Name, Fields] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_a_comparison(self) -> Study:
        if self.reference not in self.variants:
            raise ValueError(f"the reference '{self.reference}' is no variant.{nearest(self.reference, self.variants)}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed stands twice among the seeds")
        for name, fields in self.variants.items():
            for field in fields:
                if field.split(".")[0] == "data" or any(f"{fixed}.".startswith(f"{field}.") for fixed in BUDGET):
                    raise ValueError(
                        f"variant '{name}' sets {field}, but data and budget must be the same for all: set it under"
                        " 'fields'"
                    )
        if "seed" in self.fields:
            raise ValueError("'fields' sets seed; write 'seeds: [0, 1, 2]'")
        return self


BUILT_IN = resources.files(__package__) / "ablations"


def list_studies() -> list[str]:
    """Names of the built-in studies."""
    return list_named(BUILT_IN)


def load_study(name: str | Path, seeds: tuple[int, ...] | None = None) -> Study:
    """Read and validate a study.

    Args:
        name: of a built-in one (`list_studies`), or a .yaml file.
        seeds: others than the study's.

    Raises:
        UserError: no such study, a file that cannot be read, or what it says is wrong: which field, and why.
    """
    tree = read_named("study", name, BUILT_IN)
    if not isinstance(tree, dict):
        raise UserError(f"the study {name} must have the fields title, reference and variants")
    if seeds is not None:
        tree["seeds"] = seeds
    if Path(str(tree.get("recipe"))).suffix in (".yaml", ".yml"):  # beside the study, as a recipe's base is
        tree["recipe"] = str(Path(name).parent / tree["recipe"])
    try:
        return Study.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        unknown = nearest(where, Study.model_fields) if first["type"] == "extra_forbidden" else ""
        raise UserError(f"the study {name}{f', {where}' if where else ''}: {message.rstrip('.')}.{unknown}") from None
