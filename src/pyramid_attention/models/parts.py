"""What a context and a decoder are: the two parts in which one segmentation network differs from the next.

The *context* stands on the deepest map of the backbone and brings in the surroundings; the *decoder* brings back the
detail from the finer maps. A part is a class of modules with a frozen dataclass, its `Options`. The type of a field
says what the field may be, and `build_model` checks the values once. A field that has the name of one of
`build_model`'s own arguments (`align_corners`, `num_classes`) gets that argument.

`build_model(context=MyContext, …)` takes a class of one's own. A saved model holds only where that class lies
("package.module:MyContext"). Nothing is ever imported because a file says so: who loads the model gives the class, or
allows its import, by `parts`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import pydantic
from torch import Tensor, nn

from ..errors import UserError

T = TypeVar("T")


@runtime_checkable
class Context(Protocol):
    """A context: N×in_channels×h×w → N×out_channels×h×w.

    Args:
        in_channels: of the backbone's deepest map.
        options: an instance of `Options`.
    """

    Options: ClassVar[Any]
    out_channels: int

    def __init__(self, in_channels: int, options: Any) -> None: ...

    def __call__(self, deepest: Tensor) -> Tensor:
        """The backbone's deepest map with its surroundings."""
        ...


@runtime_checkable
class Decoder(Protocol):
    """A decoder: the backbone's four maps and the context → N×out_channels×h×w, h×w at most 1/4 of the image.

    Args:
        in_channels: of the backbone's maps, fine to coarse.
        context_channels: of the context's map.
        options: an instance of `Options`.

    Attributes:
        gives_logits: the map holds one logit a class already, and the network gets no head.
    """

    Options: ClassVar[Any]
    gives_logits: bool
    out_channels: int

    def __init__(self, in_channels: list[int], context_channels: int, options: Any) -> None: ...

    def __call__(self, features: list[Tensor], context: Tensor) -> Tensor:
        """The maps of the backbone, fine to coarse and N×in_channels[i]×h×w each, joined with the context."""
        ...


@dataclass(frozen=True)
class NoOptions:
    """The options of a part that has none."""


def validate(options: type[T], given: Mapping[str, Any]) -> T:
    """Make options of what is given for their fields; a list becomes a tuple, the text "16" the integer 16.

    Raises:
        UserError: a value that its field cannot have.
    """
    values = {field: given[field] for field in option_names(options) if field in given}
    try:
        return pydantic.TypeAdapter(options).validate_python(values)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise UserError(f"option {name}={values.get(name)!r} is not possible: {first['msg']}") from None


def option_names(options: Any) -> list[str]:
    """The names of the fields of an options dataclass."""
    return [field.name for field in fields(options)]


def to_json(options: Any) -> dict[str, Any]:
    """Options as plain JSON, by their names."""
    found: dict[str, Any] = pydantic.TypeAdapter(type(options)).dump_python(options, mode="json")
    return found


def import_path(part: type) -> str:
    """Where a class lies, as "package.module:Class"."""
    return f"{part.__module__}:{part.__qualname__}"


def own_parts(parts: Iterable[type | str]) -> dict[str, type]:
    """Parts that a caller brings, by where they lie, and by their names alone: a class may have moved since.

    Args:
        parts: classes, or import paths "package.module:Class", which are imported.

    Raises:
        UserError: a path that leads to no class.
    """
    found: dict[str, type] = {}
    for given in parts:
        part = _imported(given) if isinstance(given, str) else given
        found |= {import_path(part): part, part.__qualname__: part}
    return found


def _imported(path: str) -> type:
    module, _, name = path.partition(":")
    try:
        part = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"parts: cannot import {path!r} ({error}); write 'package.module:Class'") from error
    if not isinstance(part, type):
        raise UserError(f"parts: {path!r} is no class")
    return part


def check_class(what: str, part: type) -> None:
    """Raise where a class cannot be a part at all.

    Raises:
        UserError: it is no module, or has no options dataclass.
    """
    if not issubclass(part, nn.Module):
        raise UserError(f"the {what} {import_path(part)} is no torch.nn.Module")
    if not is_dataclass(getattr(part, "Options", None)):
        raise UserError(f"the {what} {import_path(part)} has no dataclass 'Options' (NoOptions has no fields)")


def check_part(what: str, part: T, protocol: type) -> T:
    """Return a part that was made.

    Raises:
        UserError: it lacks an attribute that its kind has.
    """
    if not isinstance(part, protocol):
        missing = [name for name in ("out_channels", "gives_logits") if not hasattr(part, name)]
        raise UserError(f"the {what} {import_path(type(part))} lacks {' and '.join(missing)}; see models.parts")
    return part
