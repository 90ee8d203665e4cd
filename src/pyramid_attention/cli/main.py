"""`pan`: the verbs put together, and what becomes of an error.

The verbs import the library inside their functions, so that `pan --help` answers at once and imports no PyTorch.
"""

from __future__ import annotations

import io
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
import typer.main

from .. import __version__
from ..errors import UserError
from .ablate import ablate
from .bench import bench
from .convert_checkpoint import convert_checkpoint
from .data import data_app
from .demo import demo
from .eval import evaluate
from .export import export
from .models import models
from .predict import predict
from .train import train

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # Typer exports this one subclass of it only

INTERRUPTED = 130

app = typer.Typer(
    name="pan",
    help="Semantic segmentation with the Pyramid Attention Network: from a folder of images to a model.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
app.command("train")(train)
app.command("eval")(evaluate)
app.command("predict")(predict)
app.command("export")(export)
app.command("models")(models)
app.command("bench")(bench)
app.command("ablate")(ablate)
app.command("convert-checkpoint")(convert_checkpoint)
app.command("demo")(demo)
app.add_typer(data_app, name="data")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"pan {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error (with any verb).")] = False,
) -> None:
    pass


def _verb(words: Sequence[str]) -> list[str]:
    """The verb that a command line begins with, of two words where the first is a group of verbs; [] for none."""
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    group = groups.get(words[0])
    if group is not None:
        return [words[0], *(word for word in words[1:2] if word in _names(group))]
    return [word for word in words[:1] if word in _names(app)]


def _names(group: typer.Typer) -> set[str | None]:
    return {command.name for command in group.registered_commands}


def name_options(message: str, verb: Sequence[str]) -> str:
    """A message of the library with its arguments as the verb calls them: `out=` becomes --out, `tile=512` --tile 512.

    `resume=True` becomes --resume, `device="cpu"` --device cpu, `data=` DATA. Others stay as they are.
    """
    command: Any = typer.main.get_command(app)
    for name in verb:
        command = command.commands[name]
    known = {one.name: one.opts[-1] if one.param_type_name == "option" else one.metavar for one in command.params}

    def option(match: re.Match[str]) -> str:
        name, text, value = match.groups()
        if name not in known:
            return match[0]
        return " ".join([known[name], *(word for word in (text, value) if word and word != "True")])

    return re.sub(r"""(?<![\w.'"/-])(\w+)=(?:"([^"]*)"|([\w.]*\w))?""", option, message)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let a request to end (SIGTERM) do what Ctrl-C does, so that loaders and bars are taken down as well."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only that one may say what a signal does
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    0 done, 1 some inputs of many failed and the rest were done, 2 a mistake of the user's (one line on stderr),
    `INTERRUPTED` (130) by Ctrl-C or SIGTERM.
    """
    for stream in (sys.stdout, sys.stderr):  # names of files may hold what the terminal's encoding has not
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    words = [word for word in given if word != "--debug"] or ["--help"]
    try:
        with _terminable():
            code = int(app(words, prog_name="pan", standalone_mode=False) or 0)
        if code == INTERRUPTED:  # Typer has caught the KeyboardInterrupt
            print("pan: interrupted", file=sys.stderr)
        return code
    except UserError as error:
        if debug:
            raise
        print(f"pan: {name_options(str(error), _verb(words))}", file=sys.stderr)
        return error.exit_code
    except UsageError as error:
        if debug:
            raise
        message = " ".join(error.format_message().split())  # type: ignore[attr-defined]
        print(f"pan: {message} (see: {' '.join(['pan', *_verb(words)])} --help)", file=sys.stderr)
        return 2
    except OSError as error:
        if debug:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"pan: {where}{error.strerror or error}; check the path and its permissions", file=sys.stderr)
        return 2
