"""Globs over paths and object names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from fanout.errors import UsageError

_WILD = re.compile(r"[*?]|\[[^\]/]+\]")


@dataclass(frozen=True)
class Glob:
    """A pattern over the names below a folder.

    Attributes:
        folder: The part before the first wildcard, whole segments only, without a slash at its end.
        segments: Expressions for the names of the segments after it; None stands for `**`.
        whole: Expression for the whole name below the folder.
    """

    folder: str
    segments: tuple[re.Pattern[str] | None, ...]
    whole: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> Glob | None:
        """Return the glob that a path or name is; None where it has no wildcard.

        Raises:
            UsageError: A bracket holds no valid set of characters.
        """
        parts = text.split("/")
        first = next((number for number, part in enumerate(parts) if _WILD.search(part)), None)
        if first is None:
            return None
        rest = parts[first:]
        try:
            segments = tuple(None if part == "**" else re.compile(_translate(part)) for part in rest)
        except re.error:
            raise UsageError(f"{text} is not a valid glob: see its brackets") from None
        whole = ""
        for number, part in enumerate(rest):
            final = number == len(rest) - 1
            if part == "**":
                whole += ".*" if final else "(?:[^/]+/)*"
            else:
                whole += _translate(part) + ("" if final else "/")
        # The root folder is the one whose name is empty.
        folder = "/".join(parts[:first]) or ("/" if first and text.startswith("/") else "")
        return cls(folder, segments, re.compile(whole, re.DOTALL))

    def matches(self, name: str) -> bool:
        """Say whether a name below the folder matches."""
        return self.whole.fullmatch(name) is not None

    def any_depth(self, depth: int) -> bool:
        """Say whether a `**` stands at or before this depth."""
        return None in self.segments[: depth + 1]

    def enters(self, segment: str, depth: int) -> bool:
        """Say whether files that match may lie in a folder of this name at this depth."""
        if self.any_depth(depth):
            return True
        expression = self.segments[depth] if depth < len(self.segments) - 1 else None
        return expression is not None and expression.fullmatch(segment) is not None


def walk(glob: Glob) -> Iterator[str]:
    """Yield the paths of local files that match, in no order; folders that cannot match are not entered.

    `**` does not follow symbolic links to folders, which may lead round in circles.
    """
    yield from _walk(glob, glob.folder, "", 0)


def _walk(glob: Glob, folder: str, above: str, depth: int) -> Iterator[str]:
    try:
        with os.scandir(folder) as scanned:
            entries = list(scanned)
    except FileNotFoundError:
        return
    follow = not glob.any_depth(depth)
    for entry in entries:
        if glob.enters(entry.name, depth) and entry.is_dir(follow_symlinks=follow):
            yield from _walk(glob, entry.path, f"{above}{entry.name}/", depth + 1)
        elif glob.matches(above + entry.name) and entry.is_file():
            yield entry.path


def _translate(segment: str) -> str:
    """Return the expression of one segment."""
    expression, at = "", 0
    for match in _WILD.finditer(segment):
        expression += re.escape(segment[at : match.start()])
        wild = match[0]
        if wild in ("*", "**"):
            expression += "[^/]*"
        elif wild == "?":
            expression += "[^/]"
        else:
            inside = wild[1:-1].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
            negated = inside.startswith("!")
            expression += f"(?!/)[{'^' if negated else ''}{inside[1:] if negated else inside}]"
        at = match.end()
    return expression + re.escape(segment[at:])
