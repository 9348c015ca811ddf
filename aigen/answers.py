"""From the text of a model's answer to files.

The format that is asked for is in `aigen.prompts`; models come close to it in many ways, and those are accepted where
the meaning is plain. Where it is not, or where the end is missing, the answer is not `complete` and a problem says why:
a truncated or ambiguous answer must never pass for a finished one. Nothing here raises on any text, and the time is
linear in its length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from aigen.answer_blocks import Block, Shape, paragraphs, scan_blocks
from aigen.answer_names import TERMINAL_LANGUAGES, fits_language, name_in_comment, name_in_heading, name_in_sentence
from aigen.languages import Language, language_find, language_for_path
from aigen.paths import InvalidPath, PathClaims, check_path, shown

MAX_FILES = 200
MAX_FILE_BYTES = 512 * 1024
MAX_TOTAL_BYTES = 4 * 1024 * 1024
MAX_ANSWER_CHARACTERS = 6 * 1024 * 1024
MAX_LINES = 200_000
MAX_PROBLEMS = 50
MAX_EXPLANATION = 2000
MAX_EXAMPLE_LINES = 10
"""A block without a name beside named ones is an example up to this length, and a forgotten file beyond it."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_ELIDED = re.compile(
    r"\s{0,200}(?:#|//|/\*|<!--|--)?\s{0,8}[\[(]?(?:\.\.\.|…)\s{0,8}\(?(?:the\s)?"
    r"(?:rest|remaining|remainder|existing|other|previous|same|unchanged|as before|your|more)\b"
    r".{0,40}\b(?:code|file|functions?|methods?|content|handlers?|routes?|unchanged|here|as before|implementation)\b",
    re.IGNORECASE,
)
_COMPANIONS = frozenset({"css", "javascript"})


@dataclass(frozen=True)
class AnswerFile:
    """One file: normalised path, content with `\\n` line ends, and its language or "text"."""

    path: str
    content: str
    language: str


@dataclass(frozen=True)
class AnswerProblem:
    """Why an answer is not complete; `code` is stable, `detail` is a sentence for people and for the model."""

    code: str
    detail: str
    path: str | None = None


@dataclass(frozen=True)
class ParsedAnswer:
    """What an answer holds. Only if `complete` may `files` be taken for the whole application."""

    files: tuple[AnswerFile, ...]
    problems: tuple[AnswerProblem, ...]
    complete: bool
    explanation: str


def parse_answer(text: str, *, language: str, finish_reason: str | None) -> ParsedAnswer:
    """Read the files out of a model's answer.

    Args:
        text: the whole answer, hostile or cut.
        language: the language that was asked for; it names a single unnamed block.
        finish_reason: `stop` when the model ended by itself; anything else, and None, means that it was cut.
    """
    collected = _Collection()
    if finish_reason != "stop":
        reason = f"the provider said {shown(finish_reason)}" if finish_reason else "the provider sent no final word"
        collected.problem("cut", f"The answer was cut before its end: {reason}")
    text = _bounded(text.replace("\r\n", "\n").replace("\r", "\n"), collected)
    asked = language_find(language)
    explanation = ""
    if not _read_json(text.strip(), collected):
        shape = scan_blocks(text)
        explanation = _explanation(shape)
        _read_shape(shape, asked, collected)
    if not collected.files and not collected.problems:
        collected.problem("no_files", "The answer contains no file")
    return ParsedAnswer(
        files=tuple(collected.files.values()),
        problems=tuple(collected.problems),
        complete=not collected.problems,
        explanation=explanation,
    )


def _bounded(text: str, collected: _Collection) -> str:
    if len(text) > MAX_ANSWER_CHARACTERS or text.count("\n") > MAX_LINES:
        collected.problem("answer_too_large", "The answer is longer than any application that is accepted")
        return "\n".join(text[:MAX_ANSWER_CHARACTERS].split("\n", MAX_LINES)[:MAX_LINES])
    return text


class _Collection:
    """The files and problems found so far, with the limits."""

    def __init__(self) -> None:
        self.files: dict[str, AnswerFile] = {}
        self.problems: list[AnswerProblem] = []
        self._claims = PathClaims()
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        return len(self.problems) >= MAX_PROBLEMS or len(self.files) > MAX_FILES

    def problem(self, code: str, detail: str, path: str | None = None) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(AnswerProblem(code, detail, path))

    def add(self, raw_path: str, content: str, language: str = "") -> None:
        """Take a file if its name and size are allowed; otherwise note why not."""
        try:
            path = check_path(raw_path)
        except InvalidPath as exc:
            self.problem("invalid_path", exc.detail, exc.path)
            return
        if (known := self.files.get(path)) is not None:
            if known.content != content:
                self.problem("duplicate_path", f"The file {path} is given twice with different content", path)
            return
        if self._fits(path, content):
            self._claim(path, content, language)

    def _fits(self, path: str, content: str) -> bool:
        size = len(content.encode(errors="replace"))
        if size > MAX_FILE_BYTES:
            self.problem("file_too_large", f"The file {path} is larger than {MAX_FILE_BYTES // 1024} KiB", path)
        elif self._bytes + size > MAX_TOTAL_BYTES:
            self.problem("answer_too_large", f"The files together are larger than {MAX_TOTAL_BYTES // 1024} KiB", path)
        elif len(self.files) >= MAX_FILES:
            self.problem("too_many_files", f"The answer has more than {MAX_FILES} files", path)
        else:
            self._bytes += size
            return True
        return False

    def _claim(self, path: str, content: str, language: str) -> None:
        try:
            self._claims.add(path)
        except InvalidPath as exc:
            self.problem("path_collision", exc.detail, path)
            return
        if "\0" in content or _SURROGATE.search(content):
            self.problem("invalid_character", f"The file {path} contains a character that is not text", path)
            content = _SURROGATE.sub("\ufffd", content.replace("\0", ""))
        known = language_for_path(path) or language_find(language)
        if known and any(_ELIDED.match(line) for line in content.split("\n") if "..." in line or "…" in line):
            self.problem("elided", f"The file {path} leaves out a part instead of writing it", path)
        self.files[path] = AnswerFile(path, content, known.name if known else "text")


def _read_json(text: str, collected: _Collection) -> bool:
    """Read an answer that is one JSON object with `files`; False if it is not meant to be one."""
    if not text.startswith("{") or '"files"' not in text[:4000]:
        return False
    try:
        entries = list(_json_files(json.loads(text)))
    except (ValueError, RecursionError):
        collected.problem("invalid_json", "The answer begins as a JSON object with files, which is broken or cut")
        return True
    if not entries:
        collected.problem("no_files", "The JSON object names no file with a path and a content")
    for path, content in entries:
        if collected.is_full:
            break
        collected.add(path, content)
    return True


def _json_files(value: object) -> Iterator[tuple[str, str]]:
    """Path and content of `{"files": [{"path", "content"}]}` or `{"files": {path: content}}`; ValueError if neither."""
    files = value.get("files") if isinstance(value, dict) else None
    if isinstance(files, dict):
        files = [{"path": path, "content": content} for path, content in files.items()]
    if not isinstance(files, list):
        raise ValueError("no list of files")
    for entry in files:
        if not isinstance(entry, dict):
            raise ValueError("a file that is no object")
        path, content = entry.get("path", entry.get("filename", entry.get("name"))), entry.get("content")
        if not isinstance(path, str) or not isinstance(content, str):
            raise ValueError("a file without path or content")
        yield path, content.replace("\r\n", "\n")


def _read_shape(shape: Shape, asked: Language | None, collected: _Collection) -> None:
    if shape.open_reasoning:
        collected.problem("cut", "The answer ends within the model's reasoning")
    if shape.too_many:
        collected.problem("answer_too_large", "The answer has more blocks than any application that is accepted")
    if _read_json_block(shape, collected):
        return
    unnamed: list[Block] = []
    for block in shape.blocks:
        if collected.is_full:
            return
        path, comment_used = _name(block)
        if not _check_closed(block, path, collected):
            continue
        if path is None:
            unnamed.append(block)
        else:
            collected.add(path, _content(block, skip_first=comment_used), block.language)
    _read_unnamed(unnamed, asked, collected, alone=len(shape.blocks) == 1)


def _read_json_block(shape: Shape, collected: _Collection) -> bool:
    """Read the only block of an answer if it is a JSON object with files."""
    if len(shape.blocks) != 1 or shape.blocks[0].path is not None or not shape.blocks[0].closed:
        return False
    content = "\n".join(shape.blocks[0].lines).strip()
    return shape.blocks[0].language.lower() in ("json", "") and _read_json(content, collected)


def _check_closed(block: Block, path: str | None, collected: _Collection) -> bool:
    name = shown(path) if path else "without a name"
    if block.closed and not block.nested:
        return True
    if block.closed:
        collected.problem("ambiguous_fence", f"Another file seems to begin inside the file {name}", path)
    else:
        collected.problem(
            "unclosed_block", f"The block {name} has no end: the answer was cut or a fence is missing", path
        )
    return False


def _name(block: Block) -> tuple[str | None, bool]:
    """The path of a block, and whether it came from its first line, which is then no content."""
    if block.path is not None:
        return block.path, False
    if path := _hinted(block):
        return path, False
    first = block.lines[0] if block.lines else ""
    path = name_in_comment(first)
    if path is not None and fits_language(path, block.language):
        return path, True
    return None, False


def _hinted(block: Block) -> str | None:
    path = name_in_heading(block.hint)
    if path is None and block.language.lower() not in TERMINAL_LANGUAGES:
        path = name_in_sentence(block.hint) or name_in_heading(block.heading)
    return path if path is not None and fits_language(path, block.language) else None


def _read_unnamed(blocks: list[Block], asked: Language | None, collected: _Collection, *, alone: bool) -> None:
    """One block in the language that was asked for gets its default name; several are ambiguous."""
    if asked is None:
        return
    wanted = [block for block in blocks if language_find(block.language) is asked or (alone and not block.language)]
    if any(file.language == asked.name for file in collected.files.values()):
        wanted = [block for block in wanted if len(block.lines) > MAX_EXAMPLE_LINES]
        if wanted:
            collected.problem("unnamed_block", f"{len(wanted)} long {asked.label} blocks have no file name")
        return
    if asked.name == "html" and any(_is_companion(block) for block in blocks):
        collected.problem("unnamed_block", "A style sheet or script has no file name")
    if len(wanted) > 1:
        collected.problem("ambiguous_blocks", f"{len(wanted)} {asked.label} blocks have no file name")
    elif wanted:
        collected.add(asked.default_file, _content(wanted[0]), asked.name)


def _is_companion(block: Block) -> bool:
    found = language_find(block.language)
    return found is not None and found.name in _COMPANIONS


def _content(block: Block, *, skip_first: bool = False) -> str:
    text = "\n".join(block.lines[1:] if skip_first else block.lines)
    return text.rstrip() + "\n" if text.strip() else ""


def _explanation(shape: Shape) -> str:
    return next(paragraphs(shape.prose), "")[:MAX_EXPLANATION]
