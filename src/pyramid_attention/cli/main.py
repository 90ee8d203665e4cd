"""`pan`: the verbs put together, and what becomes of an error.

The verbs import the library inside their functions, so that `pan --help` answers at once and imports no PyTorch.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
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
from .explain import explain
from .export import export
from .models import models
from .options import spoken
from .predict import predict
from .serve import serve
from .train import train

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # Typer exports this one subclass of it only

INTERRUPTED = 130
REQUESTS_TO_END = [one for one in signal.Signals if one.name in ("SIGTERM", "SIGHUP")]  # Windows has no SIGHUP

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
app.command("explain")(explain)
app.command("serve")(serve)
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
    """A message of the library with its arguments as a verb calls them, see `options.spoken`."""
    command: Any = typer.main.get_command(app)
    for name in verb:
        command = command.commands[name]
    return spoken(message, command)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let a request to end (SIGTERM, SIGHUP) do what Ctrl-C does, so that loaders and bars are taken down as well."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():  # only that one may say what a signal does
        before = {one: signal.getsignal(one) for one in REQUESTS_TO_END}
    before = {one: handler for one, handler in before.items() if handler == signal.SIG_DFL}  # not what nohup ignores
    for one in before:
        signal.signal(one, interrupt)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    0 done, 1 some inputs of many failed and the rest were done, 2 a mistake of the user's or of the machine's (one line
    on stderr), `INTERRUPTED` (130) by Ctrl-C, SIGTERM or SIGHUP.
    """
    for stream in (sys.stdout, sys.stderr):  # names of files may hold what the terminal's encoding has not
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    words = [word for word in given if word != "--debug"] or ["--help"]
    code, message = _run(words, debug="--debug" in given)
    try:
        sys.stdout.flush()
    except OSError as error:
        code, message = code or 2, message or f"cannot write the output: {error.strerror}"
        with suppress(OSError):  # or Python itself would fail to write what is left
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if message:
        with suppress(OSError):
            print(f"pan: {message}", file=sys.stderr)
    return code


def _run(words: list[str], debug: bool) -> tuple[int, str]:
    """Run a command line; its exit code, and what is to be said of its end."""
    try:
        with _terminable():
            code = int(app(words, prog_name="pan", standalone_mode=False) or 0)
        return code, "interrupted" if code == INTERRUPTED else ""  # Typer has caught the KeyboardInterrupt
    except KeyboardInterrupt:
        return INTERRUPTED, "interrupted"
    except Exception as error:
        if debug:
            raise
        if isinstance(error, UserError):
            lines = (str(error), *error.more)
            return error.exit_code, "\n".join(name_options(line, _verb(words)) for line in lines)
        if isinstance(error, UsageError):
            message = " ".join(error.format_message().split())  # type: ignore[attr-defined]
            return 2, f"{message} (see: {' '.join(['pan', *_verb(words)])} --help)"
        if isinstance(error, OSError):
            named = isinstance(error.filename, (str, bytes))
            where = f"{os.fsdecode(error.filename)}: " if named else ""
            return 2, f"{where}{error.strerror or error}; check the path, its permissions and the disk"
        if isinstance(error, MemoryError):
            return 2, "out of memory; end other programs, or give it less to do at once (see the verb's --help)"
        raise
