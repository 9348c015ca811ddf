"""What a check of a source file says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MAX_FINDINGS = 20
MAX_SHOWN = 40


@dataclass(frozen=True)
class SyntaxFinding:
    """One place where a file does not parse. `line` and `column` count from 1; only errors make a file unusable."""

    path: str
    line: int
    column: int
    message: str
    severity: Literal["error", "warning"]


def excerpt(text: str) -> str:
    """A piece of source as it can be put into a message: one line, printable, shortened, in backticks."""
    first = text.strip()[: MAX_SHOWN + 1].partition("\n")[0].rstrip()
    shortened = len(text.strip()) > len(first)
    printable = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in first)
    return f"`{printable[:MAX_SHOWN]}{'…' if shortened else ''}`"
