"""The options of the Segmenter on the command line: every field of `SegmenterOptions`, and nothing said twice."""

from __future__ import annotations

import dataclasses
import sys

import pytest
import typer
from typer.testing import CliRunner

from pyramid_attention.cli import options
from pyramid_attention.cli.main import app
from pyramid_attention.inference import SegmenterOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneMore(SegmenterOptions):
    """With an option that nobody has heard of."""

    patience: float = dataclasses.field(default=0.5, metadata={"help": "How long to wait.", "metavar": "HOURS"})


def run(*words: str) -> SegmenterOptions:
    """The options that a verb is given for the words of a command line."""
    given: list[SegmenterOptions] = []

    @options.with_segmenter_options
    def verb(place: str, *, options: SegmenterOptions) -> None:
        assert place == "here"
        given.append(options)

    program = typer.Typer()
    program.command()(verb)
    result = CliRunner().invoke(program, ["here", *words])
    assert result.exit_code == 0, result.output
    return given[0]


def test_without_options_they_are_the_default_ones():
    assert run() == SegmenterOptions()


def test_each_option_arrives_in_its_field():
    words = "--device cpu --engine torch --tta --tile 256 --overlap 64 --max-size 480 --precision bf16 --compile"
    assert run(*words.split(), "--classes", "road, sky") == SegmenterOptions(
        device="cpu",
        engine="torch",
        tta=True,
        tile=256,
        overlap=64,
        max_size=480,
        precision="bf16",
        compile=True,
        classes=["road", "sky"],
    )


def test_a_new_field_is_a_new_option(monkeypatch):
    monkeypatch.setattr(options, "SegmenterOptions", OneMore)
    assert run("--patience", "2") == OneMore(patience=2.0)


@pytest.mark.parametrize("verb", ["eval", "predict", "bench"])
def test_the_verbs_that_run_a_model_have_all_of_them(verb):
    command = typer.main.get_command(app).commands[verb]
    there = {parameter.name: parameter for parameter in command.params}
    for field in dataclasses.fields(SegmenterOptions):
        assert there[field.name].opts == [f"--{field.name.replace('_', '-')}"]
        if (verb, field.name) != ("bench", "engine"):  # which has several
            assert there[field.name].help == field.metadata["help"]


def test_an_impossible_value_is_told_before_anything_is_read(capsys, monkeypatch):
    from pyramid_attention.cli import main

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["predict", ".", "--tile", "5"]) == 2
    assert "--tile 5 is too small; a tile has 128 pixels a side or more" in capsys.readouterr().err
