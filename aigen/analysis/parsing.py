"""The parsers themselves: tree-sitter for every language, and the own parser of those that have one in Python.

An own parser has the last word: grammars know less than the language, and where the own parser is content their
complaints are dropped. Call this in a worker only (`aigen.analysis.isolation`); it may crash on hostile text.
"""

from __future__ import annotations

import ast
import io
import json
import re
import time
import tokenize
import warnings
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

import yaml

from aigen.analysis.findings import MAX_FINDINGS, SyntaxFinding, excerpt
from aigen.languages import tree_sitter_language

if TYPE_CHECKING:
    import tree_sitter

COMPILE_BYTES = 256 * 1024
PARSE_SECONDS = 0.6
PARSE_SECONDS_EACH_MEBIBYTE = 0.6
WALK_SECONDS = 0.2

LENIENT = frozenset({"sql", "css", "c", "cpp"})
"""Languages whose grammar knows only a part of what is in use, or no macros: its complaints are warnings."""
_TEMPLATE_MARKS = ("{%", "<%", "<?")
"""What shows that an HTML file is a template; what surrounds the marks need not be HTML yet."""

COMMENTED_JSON = ("tsconfig", "jsconfig", "devcontainer")
"""Names of JSON files whose readers allow comments."""

# Elements that HTML ends by itself.
_OPTIONAL_END = frozenset(
    {"area", "base", "basefont", "bgsound", "body", "br", "caption", "col", "colgroup", "command", "dd", "dt", "embed",
     "frame", "head", "hr", "html", "image", "img", "input", "keygen", "li", "link", "meta", "nextid", "optgroup",
     "option", "p", "param", "rb", "rp", "rt", "rtc", "source", "tbody", "td", "tfoot", "th", "thead", "tr", "track",
     "wbr"}
)  # fmt: skip
_NOT_CODE = re.compile(
    r"/\*.*?(?:\*/|\Z)|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|url\([^)'\"]{0,2000}\)|(?<!:)//[^\n]*", re.DOTALL
)
# Browsers read these as text, as the standard says; the grammar does not. The replacement keeps every position.
_HTML_TEXT = re.compile(rb"<(?![A-Za-z/!?])|&")
_TOO_MUCH = "The file is too large or too deeply nested to be checked"


class TooMuchError(Exception):
    """The text does not parse within the time it is given."""


def inspect(path: str, content: str, language: str) -> list[SyntaxFinding]:
    """What does not parse in a source file, in order of position, at most `MAX_FINDINGS`."""
    try:
        findings = _OWN_PARSERS.get(language, _by_grammar)(path, content.removeprefix("\ufeff"), language)
    except (TooMuchError, RecursionError, MemoryError):
        return [SyntaxFinding(path, 1, 1, _TOO_MUCH, "error")]
    findings.sort(key=lambda finding: (finding.severity, finding.line, finding.column))
    return sorted(findings[:MAX_FINDINGS], key=lambda finding: (finding.line, finding.column))


def _by_grammar(path: str, content: str, language: str) -> list[SyntaxFinding]:
    findings = _grammar_findings(path, content, language)
    if findings and path.endswith(".h"):
        as_cpp = _grammar_findings(path, content, "cpp")
        return as_cpp if len(as_cpp) < len(findings) else findings
    return findings


def _grammar_findings(path: str, content: str, language: str) -> list[SyntaxFinding]:
    source = content.encode()
    readable = _HTML_TEXT.sub(b"_", source) if language == "html" else source
    tree = parse(readable, language, PurePosixPath(path).suffix.lower())
    lines = source.split(b"\n")
    severity: Literal["error", "warning"] = "warning" if _is_lenient(content, language) else "error"
    findings = []
    for node, message in _faults(tree, source, language):
        row, column = node.start_point
        before = lines[row][:column].decode(errors="replace")
        findings.append(SyntaxFinding(path, row + 1, len(before) + 1, message, severity))
        if len(findings) >= MAX_FINDINGS:
            break
    return findings


def _is_lenient(content: str, language: str) -> bool:
    return language in LENIENT or (language == "html" and any(mark in content for mark in _TEMPLATE_MARKS))


def parse(source: bytes, language: str, extension: str = "") -> tree_sitter.Tree:
    """The tree-sitter tree of a source.

    Raises:
        TooMuchError: the grammar needs more processor time than a text of this length can deserve.
    """
    from tree_sitter import Parser  # a shared library that only workers need

    deadline = time.process_time() + PARSE_SECONDS + PARSE_SECONDS_EACH_MEBIBYTE * (len(source) >> 20)

    def read(offset: int, _point: object) -> bytes:
        return source[offset : offset + 65_536]

    def is_over(_offset: int, _has_error: bool) -> bool:
        return time.process_time() > deadline

    try:
        # Given as a function, because only then the parser asks whether to go on.
        return Parser(tree_sitter_language(language, extension)).parse(read, progress_callback=is_over)
    except ValueError as exc:
        raise TooMuchError from exc


def _faults(tree: tree_sitter.Tree, source: bytes, language: str) -> Iterator[tuple[tree_sitter.Node, str]]:
    """The nodes that stand for errors. Walks with a cursor, because trees can be deeper than the stack."""
    deadline = time.process_time() + WALK_SECONDS
    cursor = tree.walk()
    while True:
        node = cursor.node
        if node is None or time.process_time() > deadline:
            return
        message = _fault(node, source, language)
        if message:
            yield node, message
        is_searched = language == "html" or node.has_error
        into = is_searched and (not node.is_error or node.parent is None)
        if into and not node.is_missing and cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return


def _fault(node: tree_sitter.Node, source: bytes, language: str) -> str | None:
    text = source[node.start_byte : min(node.end_byte, node.start_byte + 200)].decode(errors="replace")
    if node.is_missing:
        return f"Missing {excerpt(node.type)}"
    if node.is_error:
        if not text.strip():
            return "Unexpected end of the file"
        if language == "html" and text.startswith("</"):
            return f"End tag {excerpt(text)} without a start tag"
        is_long = node.end_point.row > node.start_point.row
        return f"Cannot be parsed from here on: {excerpt(text)}" if is_long else f"Unexpected {excerpt(text)}"
    if language == "html" and node.type == "erroneous_end_tag":
        return f"End tag {excerpt(text)} without a start tag"
    if language == "html" and node.type == "element" and (tag := _unclosed_tag(node, source)):
        return f"The element {excerpt(tag)} has no end tag"
    return None


def _unclosed_tag(node: tree_sitter.Node, source: bytes) -> str | None:
    start = node.child(0)
    if start is None or start.type != "start_tag":
        return None
    last = node.child(node.child_count - 1)
    name = start.named_child(0)
    if name is None or last is None or last.type == "end_tag":
        return None
    tag = source[name.start_byte : name.end_byte][:60].decode(errors="replace")
    return None if tag.lower() in _OPTIONAL_END else f"<{tag}>"


def _python(path: str, content: str, language: str) -> list[SyntaxFinding]:
    """Compiled, not executed. Python obeys an encoding that a file names, so only the usual one may be named."""
    source = content.encode()
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(source).readline)[0]
    except SyntaxError:
        encoding = "unknown"
    if encoding != "utf-8":
        return [SyntaxFinding(path, 1, 1, "The file names an encoding other than UTF-8", "error")]
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            compile(content, path or "<source>", "exec", flags=_python_flags(source), dont_inherit=True)
    except SyntaxError as exc:
        own = SyntaxFinding(path, max(exc.lineno or 1, 1), max(exc.offset or 1, 1), _sentence(exc.msg), "error")
        return [own, *_others(own, path, content, language)]
    except ValueError as exc:
        return [SyntaxFinding(path, 1, 1, _sentence(str(exc)), "error")]
    return [SyntaxFinding(path, item.lineno, 1, _sentence(str(item.message)), "warning") for item in caught[:5]]


def _python_flags(source: bytes) -> int:
    """Long sources are parsed only: the compiler takes quadratic time in the number of functions."""
    return ast.PyCF_ONLY_AST if len(source) > COMPILE_BYTES else 0


def _others(own: SyntaxFinding, path: str, content: str, language: str) -> list[SyntaxFinding]:
    """What the grammar finds elsewhere: an own parser stops at its first error."""
    try:
        found = _grammar_findings(path, content, language)
    except TooMuchError:
        return []
    return [finding for finding in found if finding.line != own.line]


def _json(path: str, content: str, language: str) -> list[SyntaxFinding]:
    if PurePosixPath(path).name.lower().startswith(COMMENTED_JSON):
        return _by_grammar(path, content, language)
    try:
        json.loads(content, parse_constant=_refuse_constant)
    except json.JSONDecodeError as exc:
        return [SyntaxFinding(path, exc.lineno, exc.colno, _sentence(exc.msg), "error")]
    except ValueError as exc:
        return [SyntaxFinding(path, 1, 1, _sentence(str(exc)), "error")]
    return []


def _braced(path: str, content: str, language: str) -> list[SyntaxFinding]:
    """For lenient grammars: a file that the grammar dislikes and whose brackets do not balance was cut or is broken."""
    findings = _by_grammar(path, content, language)
    code = _NOT_CODE.sub("", content)
    counts = [(mark, code.count(mark[0]), code.count(mark[1])) for mark in ("{}", "()")]
    for mark, opened, closed in counts if findings else ():
        if opened != closed:
            line = content.rstrip().count("\n") + 1
            message = f"The file has {opened} `{mark[0]}` and {closed} `{mark[1]}`"
            findings.append(SyntaxFinding(path, line, 1, message, "error"))
    return findings


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _yaml(path: str, content: str, language: str) -> list[SyntaxFinding]:
    """Events only: no object is built. The grammar is left out, because it crashes on deep nesting."""
    del language
    try:
        for _ in yaml.parse(content, Loader=yaml.CSafeLoader):
            pass
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return [SyntaxFinding(path, line, column, _sentence(exc.problem or "not valid YAML"), "error")]
    except yaml.YAMLError as exc:
        return [SyntaxFinding(path, 1, 1, _sentence(str(exc)), "error")]
    return []


def _sentence(text: str | None) -> str:
    line = " ".join((text or "invalid syntax").split())[:200]
    return line[:1].upper() + line[1:]


_OWN_PARSERS = {"python": _python, "css": _braced, "c": _braced, "cpp": _braced, "json": _json, "yaml": _yaml}
