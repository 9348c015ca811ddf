"""The text tools for the command line that are known, and how they are written down."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from . import readme
from .rendering import render, source
from .request import Language, Request, SourceFile

_HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


@dataclass(frozen=True)
class Tool:
    """A tool: how it is asked for, what it does, and cases (arguments, input, exit code, pattern of the output)."""

    pattern: str
    purpose: str
    usage: tuple[str, ...]
    cases: tuple[tuple[tuple[str, ...], str, int, str], ...]


TOOLS: Mapping[str, Tool] = {
    "csv_to_json": Tool(
        r"csv(?: files?| data)? (?:to|into|2) (?:a )?json|csv[-_ ]?(?:to|2)[-_ ]?json",
        "converts CSV with a header line into a JSON list",
        ("data.csv", "--delimiter ';' data.csv"),
        (
            ((), 'name,text\nada,"a, ""b"""\n', 0, r'"name": ?"ada", ?"text": ?"a, \\"b\\""'),
            (("--delimiter", ";"), "a;b\n1;2\n", 0, r'"a": ?"1", ?"b": ?"2"'),
            ((), "a,b\n1\n", 2, r"^$"),
            ((), "", 0, r"^\[\]"),
        ),
    ),
    "json_format": Tool(
        r"(?:pretty[- ]?print\w*|format\w*|beautif\w+|validat\w+|indent\w*|lint\w*)[\w ]{0,20} json|"
        r"json (?:pretty[- ]?print\w*|formatter|beautifier|validator)",
        "checks JSON and prints it indented",
        ("data.json", "--sort-keys --indent 4 data.json"),
        (
            ((), '{"b":1,"a":[2]}', 0, r'^\{\n  "b": 1,\n  "a": \[\n    2\n  \]\n\}'),
            (("--sort-keys",), '{"b":1,"a":2}', 0, r'^\{\n  "a": 2,\n  "b": 1\n\}'),
            ((), "{", 2, r"^$"),
            (("--indent", "99"), "{}", 2, r"^$"),
        ),
    ),
    "password": Tool(
        r"passwords? (?:generator|maker)|(?:generat\w+|creat\w+|mak\w+) (?:an? |some )?(?:\w+ ){0,2}passwords?",
        "makes random passwords from the operating system's secure source",
        ("", "--length 32 --count 5 --no-symbols"),
        (
            ((), "", 0, r"^\S{20}\n$"),
            (("--length", "30", "--no-symbols"), "", 0, r"^[A-Za-z0-9]{30}\n$"),
            (("--count", "3"), "", 0, r"^(\S{20}\n){3}$"),
            (("--length", "3"), "", 2, r"^$"),
        ),
    ),
    "checksum": Tool(
        r"check ?sums?|sha-?256|hash(?:es)? of (?:a )?files?|file hash\w*",
        "prints SHA-256 checksums in the format of sha256sum",
        ("file.iso", "*.txt"),
        (((), "hello", 0, rf"^{_HELLO}  -\n$"), (("no such file",), "", 2, r"^$")),
    ),
    "wordcount": Tool(
        r"word[- _]?count\w*|count\w* (?:the |all )?(?:number of )?(?:words|lines|characters)|\bwc\b",
        "counts lines, words and characters",
        ("notes.txt", "--json notes.txt"),
        (
            ((), "one two\nthree\n", 0, r"^ +2 +3 +14 -"),
            (("--json",), "äöü", 0, r'"lines": ?1, ?"words": ?1, ?"characters": ?3'),
            ((), "", 0, r"^ +0 +0 +0 -"),
            (("no such file",), "", 2, r"^$"),
        ),
    ),
}


def find_tool(text: str) -> str:
    """The name of the known tool that a text asks for, or an empty string."""
    return next((name for name, tool in TOOLS.items() if re.search(rf"\b(?:{tool.pattern})", text, re.IGNORECASE)), "")


def write_tool(request: Request) -> list[SourceFile]:
    """The tool with its tests; raises KeyError for a name that is not known."""
    name, tool = request.known_name, TOOLS[request.known_name]
    python = request.language is Language.PYTHON
    values = {"name": name, "cases": [[list(arguments), *rest] for arguments, *rest in tool.cases]}
    files = [SourceFile(f"{name}.{'py' if python else 'js'}", source(f"tools/{name}.{'py' if python else 'js'}"))]
    if not python:
        files.append(SourceFile("package.json", render("plain/package.json", values)))
    if request.include_tests and python:
        files.append(SourceFile(f"tests/test_{name}.py", render("tools/test_tool.py", values)))
    elif request.include_tests:
        files.append(SourceFile(f"tests/{name}.test.js", render("tools/tool.test.js", values)))
    if request.include_docs:
        files.append(readme.write_tool_readme(request, tool.purpose, tool.usage))
    return files
