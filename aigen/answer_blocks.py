"""The outer shape of a model's answer: which lines are blocks (fences, file tags) and which are prose.

One pass over the lines, each looked at a bounded number of times, so that a hostile answer costs no more than a long
one. Nothing here decides what a block means; `aigen.answers` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from aigen.languages import language_find

END_MARKER = "<!-- steward:end -->"
MAX_HEAD = 1000
"""Characters of an info string or tag that are looked at."""
MAX_BLOCKS = 2000
MARKDOWN = frozenset({"markdown", "md", "mdx"})

_TAG = re.compile(r"<(?:file|code_file)(?=[\s>])([^>]*)>", re.IGNORECASE)
_LIST_MARK = re.compile(r"(?:[-*+]|\d{1,3}[.)])[ \t]+(?=[`~]{3})")
_ATTRIBUTE = re.compile(
    r"(?<![\w-])(path|file|filename|filepath|file_path|file_name|title|name|src)\s{0,9}[=:]\s{0,9}"
    r"(?:\"([^\"]{1,400})\"|'([^']{1,400})'|([^\s,}\"']{1,400}))",
    re.IGNORECASE,
)
_THINK = re.compile(r"<(think|thinking|reasoning)>", re.IGNORECASE)
_THOUGHT = re.compile(r"</(?:think|thinking|reasoning)>", re.IGNORECASE)
_HEADING = re.compile(r"#{1,6} |\*\*.{1,200}\*\*:?$|__.{1,200}__:?$")


@dataclass
class Block:
    """A piece of an answer that may be a file.

    `hint` is the nearest line of prose above, "" if it is more than one blank line away;
    `heading` is the last heading since the block before. `path` is what the info
    string or the tag says, None if it says nothing. `nested` is set when a line inside looked like the start of
    another file, which means that the end of this one is in doubt.
    """

    language: str
    path: str | None
    hint: str
    heading: str
    lines: list[str] = field(default_factory=list)
    closed: bool = False
    nested: bool = False


@dataclass
class Shape:
    """What a scan found.

    `open_reasoning`: the model was cut while it was still thinking. `too_many`: the scan stopped at `MAX_BLOCKS`.
    """

    blocks: list[Block]
    prose: list[str]
    ended: bool = False
    open_reasoning: bool = False
    too_many: bool = False


@dataclass(frozen=True)
class Fence:
    """An opening fence line."""

    mark: str
    length: int
    indent: int
    info: str


def scan_blocks(text: str) -> Shape:
    """Split an answer into blocks and prose. `text` has `\\n` line ends."""
    return _Scanner(text).scan()


def fence_open(line: str) -> Fence | None:
    """The fence that a line opens, or None."""
    if "```" not in line and "~~~" not in line:
        return None
    rest = line.lstrip(" \t")
    indent = len(line) - len(rest)
    if listed := _LIST_MARK.match(rest[:MAX_HEAD]):
        indent += listed.end()
        rest = rest[listed.end() :]
    mark = rest[:1]
    if mark not in ("`", "~"):
        return None
    info = rest.lstrip(mark)
    length = len(rest) - len(info)
    if length < 3 or (mark == "`" and "`" in info):
        return None
    return Fence(mark, length, indent, info[:MAX_HEAD].strip())


def fence_closes(line: str, fence: Fence) -> bool:
    """Whether a line closes a fence: the same mark, as long or longer, not indented as code would be."""
    if fence.mark not in line:
        return False
    rest = line.strip(" \t")
    if len(rest) < fence.length or rest[0] != fence.mark or rest.strip(fence.mark):
        return False
    return len(line) - len(line.lstrip(" \t")) <= fence.indent + 3


def info_parse(info: str) -> tuple[str, str | None]:
    """The language and the path in an info string, such as `python path=app/server.py` or `python:app/server.py`."""
    info = info[:MAX_HEAD].strip()
    path = attribute_path(info)
    words = info.replace("{", " ").replace("}", " ").split() or [""]
    first = words[0]
    if _ATTRIBUTE.match(first):
        return "", path
    language, colon, after = first.partition(":")
    if path is None and colon and after:
        path = after
    elif path is None and is_path_like(first) and language_find(first) is None:
        return "", first
    elif path is None:
        path = next((word for word in (word.strip("\"'()") for word in words[1:4]) if is_path_like(word)), None)
    return language.lstrip("."), path


def attribute_path(text: str) -> str | None:
    """The value of `path=`, `file=`, `title=` and the like; `path` wins when several are there."""
    found = [
        (match[1].lower(), (match[2] or match[3] or match[4]).strip(" `"))
        for match in _ATTRIBUTE.finditer(text[:MAX_HEAD])
    ]
    if not found:
        return None
    return next((value for name, value in found if name == "path"), found[0][1])


PLAIN_FILE_NAMES = frozenset(
    {"Procfile", "Makefile", "Dockerfile", "LICENSE", "LICENCE", "README", "CHANGELOG", "NOTICE", "Gemfile", "Rakefile"}
)
_PATH_LIKE = re.compile(r"[\w./@+()\[\]-]{1,240}")
_EXTENSION = re.compile(r"[^/]?\.[A-Za-z][A-Za-z0-9]{0,11}")


def is_path_like(text: str) -> bool:
    """Whether a word looks like a file name: known without an extension, or with one, and no spaces."""
    if not _PATH_LIKE.fullmatch(text):
        return False
    name = text.rpartition("/")[2]
    if name in PLAIN_FILE_NAMES:
        return True
    dot = name.rfind(".")
    return dot >= 0 and _EXTENSION.fullmatch(name[max(dot - 1, 0) :]) is not None


class _Scanner:
    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.at = 0
        self.shape = Shape([], [])
        self.hint = ""
        self.heading = ""
        self.blanks = 0
        self.reasoned = False

    def scan(self) -> Shape:
        while self.at < len(self.lines):
            if len(self.shape.blocks) >= MAX_BLOCKS:
                self.shape.too_many = True
                break
            line = self.lines[self.at]
            if not line:
                self.at += 1
                self._read_prose(line)
            elif fence := fence_open(line):
                self.at += 1
                self._read_fence(fence)
            elif tag := self._tag(line):
                self._read_tag(tag)
            elif "<" in line and _THINK.match(line.lstrip()[:20]):
                self._skip_reasoning()
            else:
                self.at += 1
                self._read_prose(line)
        return self.shape

    def _read_prose(self, line: str) -> None:
        text = line.strip()
        if not text:
            self.blanks += 1
            self.shape.prose.append("")
        elif text == END_MARKER:
            self.shape.ended = True
        elif not self.reasoned and text.lower().endswith(("</think>", "</thinking>", "</reasoning>")):
            self._forget_reasoning()
        else:
            self.hint, self.blanks = text, 0
            if text[0] in "#*_" and _HEADING.match(text[:250]):
                self.heading = text
            self.shape.prose.append(text)

    def _new_block(self, language: str, path: str | None) -> Block:
        block = Block(language, path, self.hint if self.blanks <= 1 else "", self.heading)
        self.hint, self.heading, self.blanks = "", "", 0
        self.shape.blocks.append(block)
        self.shape.prose.append("")
        return block

    def _tag(self, line: str) -> re.Match[str] | None:
        return _TAG.match(line.lstrip()[:MAX_HEAD]) if "<" in line else None

    def _read_tag(self, tag: re.Match[str]) -> None:
        language = re.search(r"\blang(?:uage)?\s?=\s?[\"']?([\w+#.-]{1,40})", tag[1])
        block = self._new_block(language[1] if language else "", attribute_path(tag[1]) or "")
        first = self.lines[self.at].lstrip()[tag.end() :]
        while True:
            end = first.find("</file>") if "</file>" in first else first.find("</code_file>")
            if end >= 0:
                block.closed = True
                block.lines.append(first[:end])
                break
            block.lines.append(first)
            self.at += 1
            if self.at >= len(self.lines):
                break
            first = self.lines[self.at]
            block.nested = block.nested or self._tag(first) is not None
        self.at += 1
        block.lines = unwrap_tag(block.lines)

    def _read_fence(self, fence: Fence) -> None:
        language, path = info_parse(fence.info)
        block = self._new_block(language, path)
        markdown = language.lower() in MARKDOWN or (path or "").lower().endswith(".md")
        inner: Fence | None = None
        while self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            if inner is not None:
                inner = None if fence_closes(line, inner) else inner
            elif fence_closes(line, fence) and not (markdown and self._opens_example(line)):
                block.closed = True
                return
            elif markdown and (opened := fence_open(line)) is not None and _confusable(opened, fence):
                inner = opened
            block.nested = block.nested or self._starts_file(line, fence)
            block.lines.append(_without_indent(line, fence.indent))

    def _starts_file(self, line: str, fence: Fence) -> bool:
        """A fence of the same kind that names a file: most likely the end of the file above it was forgotten."""
        opened = fence_open(line)
        return opened is not None and _confusable(opened, fence) and attribute_path(opened.info) is not None

    def _opens_example(self, line: str) -> bool:
        """Whether a bare fence in a Markdown file opens an example rather than closes the file.

        Models forget to make the outer fence longer. An example is introduced by a blank line or a colon and goes on
        at once; the end of a file is followed by a blank line, or by nothing.
        """
        before = next((text for text in reversed(self.lines[max(self.at - 3, 0) : self.at - 1]) if text.strip()), "")
        follows = self.lines[self.at].strip() if self.at < len(self.lines) else ""
        introduced = not self.lines[self.at - 2].strip() or before.rstrip().endswith(":")
        return introduced and bool(follows) and follows != END_MARKER and fence_open(follows) is None

    def _skip_reasoning(self) -> None:
        """Drop lines up to the end of the reasoning; the rest of its last line is read as usual."""
        self.reasoned = True
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if ends := [match.end() for match in _THOUGHT.finditer(line)]:
                # the last one, because a line of many would otherwise be read once for each
                self.lines[self.at] = "" if _THINK.match(line[ends[-1] :].lstrip()[:20]) else line[ends[-1] :]
                return
            self.at += 1
        self.shape.open_reasoning = True

    def _forget_reasoning(self) -> None:
        """Some models send the end of their reasoning without its start: all that came before was no answer."""
        self.shape.blocks.clear()
        self.shape.prose.clear()
        self.hint = self.heading = ""


def unwrap_tag(lines: list[str]) -> list[str]:
    """The content of a file tag without the CDATA section or the fence that some models put around it."""
    start, end = _trimmed(lines)
    if start == end:
        return []
    lines = lines[start:end]
    if lines[0].lstrip().startswith("<![CDATA[") and lines[-1].rstrip().endswith("]]>"):
        lines[0] = lines[0].lstrip()[len("<![CDATA[") :]
        lines[-1] = lines[-1].rstrip()[: -len("]]>")]
        start, end = _trimmed(lines)
        return lines[start:end]
    fence = fence_open(lines[0])
    if fence is not None and len(lines) > 1 and fence_closes(lines[-1], fence):
        return lines[1:-1] if not any(fence_closes(line, fence) for line in lines[1:-1]) else lines
    return lines


def _confusable(inner: Fence, outer: Fence) -> bool:
    """Whether the closing line of `inner` would also close `outer`."""
    return inner.mark == outer.mark and inner.length >= outer.length


def _trimmed(lines: list[str]) -> tuple[int, int]:
    start, end = 0, len(lines)
    while start < end and not lines[start].strip():
        start += 1
    while end > start and not lines[end - 1].strip():
        end -= 1
    return start, end


def _without_indent(line: str, width: int) -> str:
    """The line without the indentation of its list item, as far as it is there."""
    if not width:
        return line
    blank = len(line) - len(line.lstrip(" \t"))
    return line[min(width, blank) :]


def paragraphs(prose: list[str]) -> Iterator[str]:
    """The paragraphs of prose from the last to the first."""
    part: list[str] = []
    for line in reversed(prose):
        if line:
            part.append(line)
        elif part:
            yield "\n".join(reversed(part))
            part = []
    if part:
        yield "\n".join(reversed(part))
