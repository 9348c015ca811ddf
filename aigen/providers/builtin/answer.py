"""The text of an answer: what this is, one fenced block a file, what was understood, the end marker."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from .request import SourceFile

END_MARKER = "<!-- steward:end -->"
OPENING = "This comes from Steward's built-in templates; no language model wrote it."
_LANGUAGES = {
    ".py": "python",
    ".js": "javascript",
    ".html": "html",
    ".css": "css",
    ".json": "json",
    ".md": "markdown",
    ".svg": "xml",
}


def write_answer(files: Sequence[SourceFile], paragraphs: Sequence[str]) -> str:
    """The whole answer; the paragraphs follow the files as one."""
    blocks = [write_block(file) for file in files]
    return "\n\n".join([OPENING, *blocks, " ".join(paragraphs), END_MARKER]) + "\n"


def write_block(file: SourceFile) -> str:
    """The file between fences longer than any run of backticks inside it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", file.content)), default=2)
    fence = "`" * (longest + 1)
    language = _LANGUAGES.get(PurePosixPath(file.path).suffix, "text")
    return f"{fence}{language} path={file.path}\n{file.content.rstrip()}\n{fence}"
