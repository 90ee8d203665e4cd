"""Options that several verbs share; those of the Segmenter and of data are made from the fields of a class each."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from functools import wraps
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from ..data import Reading
from ..errors import UserError
from ..inference import DEFAULT_MODEL, SegmenterOptions

Device = Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda or mps.")]
Format = Annotated[
    str | None, typer.Option("--format", help="The data set's format; found by looking where it is not given.")
]
DataFormat = Annotated[str | None, typer.Option("--data-format", help="The data set's format, as --format elsewhere.")]
Model = Annotated[
    str,
    typer.Option(
        metavar="M",
        help=f"The model: {DEFAULT_MODEL}, a run or model folder, an .onnx file, or 'owner/name' on the hub.",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="M",
        help=f"The model: {DEFAULT_MODEL}, a run or model folder, an .onnx file, or 'owner/name' on the hub. Several,"
        " each with a --model of its own, are averaged.",
    ),
]
Fields = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="A recipe field: train.epochs=5. Repeatable.")
]
Result = TypeVar("Result")


def parse_fields(given: list[str] | None) -> dict[str, Any]:
    """The recipe fields that --set gives, the values read as YAML; of one that is given twice the last."""
    import yaml

    found: dict[str, Any] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UserError(f"--set takes field=value (as in train.epochs=5), not '{text}'")
        found.pop(name.strip(), None)  # the last, in place too
        try:
            found[name.strip()] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError):
            found[name.strip()] = value
    return found


def with_segmenter_options(verb: Callable[..., Result]) -> Callable[..., Result]:
    """Give a verb every option of the Segmenter: they come in its parameter `options`, as `SegmenterOptions`."""
    return _with_options(verb, "options", SegmenterOptions)


def with_data_options(verb: Callable[..., Result]) -> Callable[..., Result]:
    """Give a verb the options that say how DATA is read: they come in its parameter `reading`, as `Reading`."""
    return _with_options(verb, "reading", Reading)


def given_fields(reading: Reading) -> dict[str, Any]:
    """The recipe fields of `data` that differ from what is found by looking."""
    given = {field.name: getattr(reading, field.name) for field in fields(Reading)}
    return {f"data.{field.name}": given[field.name] for field in fields(Reading) if given[field.name] != field.default}


def _with_options(verb: Callable[..., Result], parameter: str, group: type) -> Callable[..., Result]:
    """Make the fields of a dataclass options of a verb, which gets an object of it as a parameter.

    Each field that has a help is an option by its name, type, default and help. A field that the verb has a parameter
    of its own for is left to the verb.
    """
    types = get_type_hints(group)
    own = inspect.signature(verb, eval_str=True).parameters
    shared = {field.name: field for field in fields(group) if field.metadata and field.name not in own}

    @wraps(verb)
    def command(**given: Any) -> Result:
        options = group(**{name: given.pop(name) for name in shared})
        return verb(**given, **{parameter: options})

    parameters = [one for one in own.values() if one.name != parameter]
    parameters += [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=_option(types[name], field)
        )
        for name, field in shared.items()
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _option(type_: Any, field: Field[Any]) -> Any:
    """A field as Typer wants it: names with commas for a sequence, a flag for a truth value."""
    flag = f"--{field.name.replace('_', '-')}"
    if type_ == Sequence[str] | None:
        return Annotated[str | None, typer.Option(flag, parser=split_names, **field.metadata)]
    return Annotated[type_, typer.Option(flag, **field.metadata)]


def split_names(names: str | None) -> list[str] | None:
    """The names of a list with commas."""
    return None if names is None else [name.strip() for name in names.split(",")]


def spoken(message: str, command: Any) -> str:
    """A message of the library with its arguments as a command calls them: `out=` becomes --out, `tile=512` --tile 512.

    `resume=True` becomes --resume, `device="cpu"` --device cpu, `data=` DATA. Others stay as they are.
    """
    known = {one.name: one.opts[-1] if one.param_type_name == "option" else one.metavar for one in command.params}

    def option(match: re.Match[str]) -> str:
        name, text, value = match.groups()
        if name not in known:
            return match[0]
        return " ".join([known[name], *(shlex.quote(word) for word in (text, value) if word and word != "True")])

    return re.sub(r"""(?<![\w.'"/-])(\w+)=(?:"([^"]*)"|([\w./-]*\w))?""", option, message)
