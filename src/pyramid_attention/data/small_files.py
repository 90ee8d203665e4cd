"""Small files of text, JSON, YAML and tables, with errors a user can act on."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import yaml

from ..errors import UserError


def read_text(path: Path) -> str:
    """The text of a small file.

    Raises:
        UserError: it is missing, unreadable or no text in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")  # editors on Windows begin a file with a byte order mark
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; put it there, or check the path") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path and its permissions") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text in UTF-8 ({error.reason}); save it as UTF-8") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, without the empty ones and without blanks around them.

    Raises:
        UserError: see `read_text`.
    """
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        UserError: it cannot be read, is cut short or no JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is not valid JSON ({error}); it may be cut short: export or download it again"
        ) from None


def read_json_object(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        UserError: see `read_json`; or it holds something else than an object.
    """
    data = read_json(path)
    if not isinstance(data, dict):
        raise UserError(f"{path} holds no JSON object; export the annotations again")
    return data


def read_yaml(path: Path, example: str) -> Any:
    """What a YAML file holds; `example` shows in an error how to write it.

    Raises:
        UserError: it cannot be read or is no YAML.
    """
    try:
        return yaml.safe_load(read_text(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that is none
        raise UserError(f"{path} is not valid YAML ({error}); write as in: {example}") from error


def read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """The headings of a CSV file in lower case, and its rows; blanks around fields and empty rows are left out.

    Raises:
        UserError: see `read_text`; or it is no table.
    """
    lines = read_text(path).splitlines()
    delimiter = max(",;\t", key=lines[0].count) if lines else ","
    try:
        rows = [[field.strip() for field in row] for row in csv.reader(lines, delimiter=delimiter)]
    except csv.Error as error:
        raise UserError(f"{path} is no table of comma-separated values ({error}); save it as CSV") from None
    rows = [row for row in rows if any(row)]
    return [heading.lower() for heading in rows[0]] if rows else [], rows[1:]
