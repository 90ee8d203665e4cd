"""`pan data inspect` and `pan data convert`: what a data set is, and a copy of it in the folder format."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..data import Reading
from ..errors import UserError
from .options import Format, spoken, with_data_options

data_app = typer.Typer(help="Look at a data set, or copy it into the folder format.", rich_markup_mode=None)


@data_app.command("inspect")
@with_data_options
def inspect(
    data: Annotated[str, typer.Argument(metavar="DATA", help="The data set's folder, or the word 'shapes'.")],
    split: Annotated[
        list[str] | None, typer.Option(help="Look at this split only; may be given several times.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write samples.png, images under their masks, and scene_1.png, …, to a folder."
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all that was found to a JSON file.")] = None,
    format: Format = None,
    *,
    reading: Reading,
) -> None:
    """Say what DATA holds and what is wrong with it.

    Sizes, how often each class occurs, every file that is missing, unreadable, of the wrong size or of unknown ids, and
    images that two splits share; then what to train with. Exit code 2 where training would refuse.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ..data import open_dataset
    from ..data.advice import option_words, suggest
    from ..data.inspect import choose_shown, inspect_dataset
    from ..data.scene_survey import scenes_of, survey
    from ..files import result_file, result_files, write_json
    from ..report.inspection import (
        advice_lines,
        class_table,
        problem_lines,
        remark_lines,
        scene_lines,
        split_line,
        write_overlay_sheet,
        write_scene,
    )
    from ..report.progress import progress
    from ..training.recipe_files import built_in_crops

    dataset = open_dataset(data, format, reading=reading)
    splits = list(dict.fromkeys(split or ())) or list(dataset.splits)
    samples = None if out is None else out / "samples.png"
    scenes = scenes_of(dataset)
    surveys = []
    if scenes:
        with progress("surveying", len(scenes)) as advance:
            surveys = [survey(scene, advance) for scene in scenes]
    with result_file(json) as numbers, result_file(samples) as sheet:
        with progress("looking at", sum(len(dataset.splits.get(name, ())) for name in splits)) as advance:
            inspection = inspect_dataset(dataset, split or (), advance)
        advice = suggest(inspection, built_in_crops(), data, format, reading)
        if numbers is not None:
            more = {
                "bands": dataset.bands.to_dict(),
                "scenes": [one.to_dict() for one in surveys],
                "advice": advice.to_dict(),
            }
            write_json(numbers, inspection.to_dict() | more)
        shown = choose_shown(inspection)
        if sheet is not None and shown:
            write_overlay_sheet(shown, inspection, sheet)
    pictures = [] if out is None else [out / f"scene_{number}.png" for number in range(1, len(surveys) + 1)]
    if out is not None and pictures:
        with result_files(out, [path.name for path in pictures]) as place:
            for each, path in zip(surveys, pictures, strict=True):
                write_scene(each, dataset.classes, place / path.name)
    problems = problem_lines(inspection)

    print(f"{data}: {dataset.format}, {len(dataset.classes)} classes")
    if dataset.reading.images is not None:
        print("read as", shlex.join(option_words(dataset.reading, ("images", "masks"))))
    for each in surveys:
        print(*scene_lines(each), sep="\n")
    for one in inspection.splits:
        print(split_line(one))
    if not scenes and not dataset.bands.is_rgb:
        print(f"images have {dataset.bands}")
    headings, *rows = class_table(inspection)
    table = Table(*headings, box=box.SIMPLE)
    for column in table.columns[2:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*map(Text, row))  # a name may hold brackets, which rich would take for markup
    Console().print(table)
    for line in (*remark_lines(inspection), *problems):
        print(line)
    for line in advice_lines(advice):
        print(line)
    if samples is not None and shown:
        print(f"samples: {samples}")
    for path in pictures:
        print(f"scene: {path}")
    sys.stdout.flush()  # the problems before the error line, in a file that takes both
    if found := len(dataset.problems) + len(inspection.faults):
        count = "a problem" if found == 1 else f"{found:,} problems"
        raise UserError(f"{data} has {count} that would corrupt a training; mend what is listed above")


@data_app.command("convert")
@with_data_options
def convert(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SRC", help="The data set's folder, or the word 'shapes'.")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="A new folder for the copy.")],
    shards: Annotated[
        bool, typer.Option("--shards", help="Write tar files of a thousand samples each, as the WebDataset library.")
    ] = False,
    format: Format = None,
    *,
    reading: Reading,
) -> None:
    """Copy a data set into the folder format: images/, masks/ and dataset.yaml.

    Splits are kept; where there is no 'val', a part of 'train' becomes it, always the same one. Images are copied
    as they are, masks become indexed PNGs. Killed half-way, the same command goes on; nothing is ever overwritten. A
    broken image is reported at the end (exit code 1) and the rest is done.
    """
    from ..data import open_dataset
    from ..data.convert import convert_dataset
    from ..data.shards import convert_to_shards
    from ..report.progress import progress

    dataset = open_dataset(source, format, reading=reading)
    for note in dataset.notes:
        print(note, file=sys.stderr)
    with progress("converting", sum(map(len, dataset.splits.values()))) as advance:
        conversion = (convert_to_shards if shards else convert_dataset)(dataset, destination, advance)
    for name, count in conversion.done.items():
        print(f"{name}: {count:,}")
    if any(conversion.done.values()):
        print(f"the copy is in {destination}; try: pan data inspect {shlex.quote(str(destination))}")
    if len(conversion.failed) > 1:
        for name, reason in conversion.failed:
            print(f"failed: {name}: {spoken(reason, context.command)}", file=sys.stderr)
    conversion.check()
