"""Patterns of paths: `images/{split}/{id}.jpg` says where the images of a data set lie and what each is called.

    {id}            what an image and its mask share; may hold "/"
    {split}         train, val, test, or another name of one
    {group}         a video, scene or patient: part of what both share, and kept on one side when a split is made
    {part}          another part of what both share
    {class}         a class, by the name of a folder or file
    {annotator}     who drew a mask
    *               anything without "/"; behind {id} in a pattern of masks it makes several files one image's mask

A placeholder that occurs twice stands for the same text. Upper and lower case are the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import UserError, nearest
from .split_names import WORDS

PLACEHOLDERS = {
    "id": ".+",
    "split": "[^/]+?",
    "group": ".+?",
    "part": ".+?",
    "class": "[^/]+?",
    "annotator": "[^/]+?",
}
"""What each may stand for, as a regular expression."""
SHARED = ("split", "group", "part", "class", "id")
"""Those that an image and its mask share where both patterns have them."""
_PIECE = re.compile(r"\{([^{}]*)\}|(\*)")


@dataclass(frozen=True)
class Pattern:
    """A pattern as it was written, and what it matches.

    Attributes:
        text: as written, with "/" between folders.
        names: its placeholders, in their order.
    """

    text: str
    names: tuple[str, ...]
    expression: re.Pattern[str]

    @classmethod
    def parse(cls, text: str, argument: str) -> Pattern:
        """Read a pattern.

        Args:
            text: as written.
            argument: what it is called in an error, as "images".

        Raises:
            UserError: it has an unknown placeholder or no {id}.
        """
        text = text.replace("\\", "/").removeprefix("./")
        parts: list[str] = []
        names: list[str] = []
        end = 0
        for piece in _PIECE.finditer(text):
            parts.append(re.escape(text[end : piece.start()]))
            end = piece.end()
            name = piece[1]
            if piece[2]:
                parts.append("[^/]*")
            elif name in names:
                parts.append(f"(?P={name})")
            elif name in PLACEHOLDERS:
                loose = name == "split" and ("*{split}" in text or "{split}*" in text)  # then only known names are
                parts.append(f"(?P<{name}>{WORDS if loose else PLACEHOLDERS[name]})")
                names.append(name)
            else:
                raise UserError(f'{argument}="{text}" has the placeholder {{{name}}}.{nearest(name, PLACEHOLDERS)}')
        parts.append(re.escape(text[end:]))
        if "id" not in names:
            raise UserError(f'{argument}="{text}" has no {{id}}; write it for what an image and its mask share')
        return cls(text, tuple(names), re.compile("".join(parts), re.IGNORECASE))

    def match(self, path: str) -> dict[str, str] | None:
        """What the placeholders stand for in a path; None where the pattern does not match."""
        found = self.expression.fullmatch(path)
        return None if found is None else found.groupdict()

    @property
    def has_many(self) -> bool:
        """Whether it may match several files for one image, by a "*" behind {id} that is not only the suffix."""
        return "*" in self.text.partition("{id}")[2].removesuffix(".*")

    def fill(self, values: Mapping[str, str]) -> str:
        """The folder that the pattern leads to with some placeholders filled in, as far as it is fixed."""
        filled = _PIECE.sub(lambda piece: values.get(piece[1] or "", piece[0]), self.text)
        fixed = _PIECE.split(filled)[0]
        return fixed.rpartition("/")[0]


def is_pattern(text: str) -> bool:
    """Whether a text is a pattern and not the name of a folder."""
    return "{" in text or "*" in text
