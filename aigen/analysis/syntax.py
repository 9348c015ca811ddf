"""Does a generated file parse? Nothing is executed, and no text can crash or hold up the platform.

The parsers are C code that reads hostile text: some grammars take minutes for a file of a hundred kilobytes, and one
ends with a segmentation fault on deep nesting. They therefore run in a separate, disposable process
(`aigen.analysis.isolation`) with a limit on time and memory; a file that reaches the limit counts as not parsable.
"""

from __future__ import annotations

from typing import Literal

from aigen.analysis.findings import MAX_FINDINGS, SyntaxFinding
from aigen.analysis.isolation import WorkerFailedError, inspect_isolated
from aigen.languages import Language, language_find, language_for_path

__all__ = ["MAX_CONTENT_BYTES", "MAX_FINDINGS", "SyntaxFinding", "check_syntax"]

MAX_CONTENT_BYTES = 4 * 1024 * 1024
"""Larger texts are refused without a look."""


def check_syntax(path: str, content: str, language: str) -> list[SyntaxFinding]:
    """What is wrong with the syntax of one file, in order of position; empty when it parses.

    Args:
        path: the file's name, which decides the language; files that are not code are only checked for being text.
        content: the source, whatever it is.
        language: the language of a source that has no file name (`path` empty).

    Lines and columns count characters from 1.

    Raises:
        Unavailable: the process that parses cannot be started.
    """
    if len(content) > MAX_CONTENT_BYTES:
        return [_refused(path, "The file is too large to be checked")]
    if (finding := _not_text(path, content)) is not None:
        return [finding]
    known = language_for_path(path) if path else language_find(language)
    if known is None or not content.strip():
        return _empty_is_an_error(path, known, content)
    try:
        return inspect_isolated(path, content, known.name)
    except WorkerFailedError as exc:
        return [_refused(path, f"The file could not be checked: {exc}")]


def _not_text(path: str, content: str) -> SyntaxFinding | None:
    """A NUL or a lone surrogate: no file with one is text, whatever its language."""
    at = content.find("\0")
    kind = "a NUL character"
    if at < 0:
        try:
            content.encode()
        except UnicodeEncodeError as exc:
            at, kind = exc.start, "half of a surrogate pair"
        else:
            return None
    line = content.count("\n", 0, at) + 1
    column = at - content.rfind("\n", 0, at)
    return SyntaxFinding(path, line, column, f"The file contains {kind}", "error")


def _empty_is_an_error(path: str, known: Language | None, content: str) -> list[SyntaxFinding]:
    if known is not None and known.name == "json" and not content.strip():
        return [_refused(path, "An empty file is not valid JSON")]
    return []


def _refused(path: str, message: str, severity: Literal["error", "warning"] = "error") -> SyntaxFinding:
    return SyntaxFinding(path, 1, 1, message, severity)
