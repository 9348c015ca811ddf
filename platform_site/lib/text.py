"""The one text policy for everything that comes from programs, models and devices.

Text is made safe to store, to send as JSON and to show as text: valid Unicode without NUL, without terminal control
sequences, in lines of bounded length. Nothing here escapes for HTML: pages do that where they show it.
"""

from __future__ import annotations

import codecs
import re

MAX_LINE_CHARACTERS = 16_384
REPLACEMENT = "\ufffd"

# ECMA-48: CSI sequences, OSC/DCS/APC/PM/SOS strings up to their terminator, and two-character escapes.
_ANSI = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# Surrogates that found no partner, and the marks that reorder text on the screen (CVE-2021-42574).
_DECEPTIVE = re.compile("[\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def clean_text(raw: str | bytes) -> str:
    """`raw` without terminal sequences, control characters, NUL and lone surrogates; newlines and tabs stay."""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    text = _ANSI.sub("", text)
    text = _CONTROL.sub("", text)
    return _DECEPTIVE.sub(REPLACEMENT, text)


def clean_line(raw: str) -> str:
    """One line as a terminal would leave it: what a carriage return overwrote is dropped, then `clean_text`."""
    visible = raw.rstrip("\r").rsplit("\r", 1)[-1] if "\r" in raw else raw
    return clean_text(visible).replace("\n", " ")


class LineSplitter:
    """Turns a stream of bytes, cut anywhere, into clean lines of at most `MAX_LINE_CHARACTERS` characters.

    Memory is bounded by one line: an endless line leaves in pieces.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        *lines, rest = (self._rest + self._decoder.decode(data)).split("\n")
        while len(rest) > MAX_LINE_CHARACTERS:
            lines.append(rest[:MAX_LINE_CHARACTERS])
            rest = rest[MAX_LINE_CHARACTERS:]
        self._rest = rest
        return [piece for line in lines for piece in _bounded(clean_line(line))]

    def close(self) -> list[str]:
        """The last line, if it had no newline."""
        rest, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        return _bounded(clean_line(rest)) if rest else []


def _bounded(line: str) -> list[str]:
    if len(line) <= MAX_LINE_CHARACTERS:
        return [line]
    return [line[start : start + MAX_LINE_CHARACTERS] for start in range(0, len(line), MAX_LINE_CHARACTERS)]


def shorten(text: str, characters: int) -> str:
    """`text` cut to `characters` with an ellipsis when it was longer."""
    return text if len(text) <= characters else text[: characters - 1].rstrip() + "…"
