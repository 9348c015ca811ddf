"""Fills the source templates. Every slot names how its value is escaped, so nothing is inserted by accident.

A slot reads `@@name|escape@@`. Escapes: `id` and `script` (a checked identifier, the latter in camel case), `words`
(checked), `py`, `js`, `html`, `md` (text, escaped for that place), `pydata`, `jsdata` (data as a literal) and `code`
(source text that this package wrote itself).
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from .naming import is_identifier

SOURCES = Path(__file__).resolve().parent / "sources"
_SLOT = re.compile(r"@@([a-z_]+)\|([a-z]+)@@")
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#!|~&])")


def identifier(value: object) -> str:
    """The value itself; raises ValueError unless it is a safe identifier."""
    if not isinstance(value, str) or not is_identifier(value):
        raise ValueError(f"{value!r} is not a safe identifier")
    return value


def plain_words(value: object) -> str:
    """Words of letters and digits only, which mean nothing in any comment; raises ValueError for anything else."""
    if not re.fullmatch(r"[^\W_]+(?:[ -][^\W_]+)*", str(value)):
        raise ValueError(f"{value!r} is more than words")
    return str(value)


def script_identifier(value: object) -> str:
    """A camel-case name, checked like `identifier`."""
    identifier(str(value).lower())
    return str(value)


def javascript_literal(value: object) -> str:
    """JSON that is also safe inside a script element."""
    return json.dumps(value).replace("<", "\\u003c")


def javascript_data(value: object) -> str:
    """A list with one entry a line, anything else indented."""
    if isinstance(value, list) and value:
        return "[\n" + "".join(f"  {javascript_literal(entry)},\n" for entry in value) + "]"
    return javascript_literal(value)


def python_literal(value: object) -> str:
    """The value as Python source, with double quotes as formatters like them."""
    if isinstance(value, str):
        return json.dumps(value) if value.isascii() else repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{python_literal(key)}: {python_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple):
        return "(" + "".join(f"{python_literal(item)}, " for item in value).removesuffix(" ") + ")"
    if isinstance(value, list):
        return "[" + ", ".join(map(python_literal, value)) + "]"
    return repr(value)


def python_data(value: object) -> str:
    """A list with one entry a line, anything else on one line."""
    if isinstance(value, list) and value:
        return "[\n" + "".join(f"    {python_literal(entry)},\n" for entry in value) + "]"
    return python_literal(value)


def markdown_text(value: object) -> str:
    """One line of text without any meaning in Markdown or HTML."""
    return _MARKDOWN_SPECIAL.sub(r"\\\1", " ".join(str(value).split()))


_ESCAPES: Mapping[str, Callable[[Any], str]] = {
    "id": identifier,
    "words": plain_words,
    "script": script_identifier,
    "py": python_literal,
    "js": javascript_literal,
    "html": lambda value: html.escape(str(value)),
    "md": markdown_text,
    "pydata": python_data,
    "jsdata": javascript_data,
    "code": str,
}


def fill(template: str, values: Mapping[str, object]) -> str:
    """The template with its slots filled; raises KeyError for a slot without a value."""
    return _SLOT.sub(lambda slot: _ESCAPES[slot[2]](values[slot[1]]), template)


@cache
def source(name: str) -> str:
    """The text of a template file below `sources/`, given without its `.tmpl`."""
    return (SOURCES / f"{name}.tmpl").read_text(encoding="utf-8")


def render(name: str, values: Mapping[str, object]) -> str:
    return fill(source(name), values)
