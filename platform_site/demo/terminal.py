"""What the walk shows: on a real terminal with a line that is rewritten, elsewhere as plain lines."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from typing import Protocol, TextIO

PLAIN_SECONDS = 2.0
INDENT = " " * 8


class Writer(Protocol):
    """Where text goes."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


class Terminal:
    """Prints headings, lines and one live line. Nothing here fails on a terminal that can do nothing but print."""

    def __init__(self, out: Writer, *, rewrites: bool) -> None:
        self._out = out
        self._rewrites = rewrites
        self._live_width = 0
        self._plain_at = 0.0

    @classmethod
    def on(cls, stream: TextIO) -> Terminal:
        """For `stream`, as capable as it is."""
        return cls(stream, rewrites=stream.isatty() and os.environ.get("TERM", "dumb") != "dumb")

    def heading(self, text: str) -> None:
        self._print(self._bold(text))

    def line(self, text: str = "") -> None:
        """A line that stays, indented below its heading."""
        self._print(INDENT + _printable(text) if text else "")

    def live(self, text: str) -> None:
        """How it goes: rewritten in place where that works, else said every two seconds."""
        if self._rewrites:
            width = shutil.get_terminal_size().columns - 1
            shown = (INDENT + _printable(text))[:width]
            self._write("\r" + shown.ljust(self._live_width))
            self._live_width = len(shown)
        elif time.monotonic() - self._plain_at >= PLAIN_SECONDS:
            self._plain_at = time.monotonic()
            self.line(text)

    def table(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """Three columns, the middle one to the right."""
        first = max(len(row[0]) for row in rows)
        middle = max(len(row[1]) for row in rows)
        for name, value, note in rows:
            self._print(f"  {name.ljust(first)}  {value.rjust(middle)}  {_printable(note)}".rstrip())

    def _print(self, text: str) -> None:
        if self._live_width:
            self._write("\r" + " " * self._live_width + "\r")
            self._live_width = 0
        self._write(text + "\n")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._rewrites and "NO_COLOR" not in os.environ else text


def _printable(text: str) -> str:
    """Program output moves no cursor: it was written by a model."""
    return "".join(c if c.isprintable() else " " for c in text)
