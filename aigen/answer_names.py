"""Names for blocks that do not say theirs: from the line above, the heading, or the first line of the content."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from aigen.answer_blocks import PLAIN_FILE_NAMES, is_path_like
from aigen.languages import LANGUAGES, language_find, language_for_path

MAX_HINT = 200

TERMINAL_LANGUAGES = frozenset(
    {"", "bash", "sh", "shell", "zsh", "console", "terminal", "shell-session", "shellsession", "powershell", "cmd",
     "bat", "text", "txt", "plaintext", "plain", "output", "log", "http", "tree", "diff", "patch", "curl"}
)  # fmt: skip
"""Info strings of blocks that usually show commands or output and are files only when they are clearly named."""

DATA_EXTENSIONS = frozenset(
    {".cfg", ".conf", ".csproj", ".csv", ".example", ".gradle", ".ini", ".lock", ".md", ".mod", ".properties", ".rst",
     ".sln", ".sum", ".svg", ".toml", ".tsv", ".txt", ".webmanifest", ".xml"}
)  # fmt: skip
_KNOWN_EXTENSIONS = DATA_EXTENSIONS | {extension for item in LANGUAGES.values() for extension in item.extensions}

_QUOTED = re.compile(r"`([^`\s]{1,240})`")
_DECORATION = " \t#*_`'\":>-"
_LEAD = re.compile(r"(?:\d{1,3}[.)]\s|(?:file|filename|path|datei)\s?\d{0,3}\s?[:.)-]?\s)", re.IGNORECASE)
_COMMENT = re.compile(r"\s{0,8}(?:#|//|--|;|/\*|<!--|\"\"\")\s{0,8}([^\s*]{1,240})\s{0,8}(?:\*/|-->|\"\"\")?\s{0,8}")
_COMMENT_LABEL = re.compile(r"(?:file|filename|filepath|path)\s?:\s?", re.IGNORECASE)


def name_in_heading(line: str) -> str | None:
    """The path when the whole line is one: `### server.py`, `**File: server.py**`, `` `server.py` (the server): ``."""
    if not line or len(line) > MAX_HINT:
        return None
    text = line.strip(_DECORATION)
    text = _LEAD.sub("", text, count=1).strip(_DECORATION)
    text = _LEAD.sub("", text, count=1).strip(_DECORATION)
    word, _, rest = text.partition(" ")
    # A remark may follow in brackets or behind a dash or colon; anything else makes the line a sentence.
    is_remark = word.endswith((":", "`:")) or rest.lstrip(" `*").startswith(("(", "-", ":", "\u2013", "\u2014"))
    if rest.strip(_DECORATION) and not is_remark:
        return None
    return _known(word.strip(_DECORATION + ","))


def name_in_sentence(line: str) -> str | None:
    """The one quoted path of a sentence that introduces a block: "Now create `server.py`:"."""
    if len(line) > MAX_HINT or not line.rstrip("*_ ").endswith(":"):
        return None
    names = {name for word in _QUOTED.findall(line) if (name := _known(word))}
    return names.pop() if len(names) == 1 else None


def name_in_comment(line: str) -> str | None:
    """The path when a first line of content is a comment with nothing but a path: `# app/server.py`."""
    if len(line) > MAX_HINT + 240:
        return None
    match = _COMMENT.fullmatch(_COMMENT_LABEL.sub("", line, count=1))
    return _known(match[1]) if match else None


def fits_language(path: str, language: str) -> bool:
    """Whether a block marked `language` can be the content of `path`: a JSON block under `server.py` is its output."""
    marked, named = language_find(language), language_for_path(path)
    if language.lower() in TERMINAL_LANGUAGES:
        return named is None or named.name == "bash" or language == ""
    if marked is None:
        return True
    return named is None or marked is named or {marked.name, named.name} <= {"javascript", "typescript", "c", "cpp"}


def _known(word: str) -> str | None:
    """The word if it is a file name with a known ending."""
    word = word.removeprefix("./")
    if not is_path_like(word):
        return None
    name = PurePosixPath(word)
    known = name.name in PLAIN_FILE_NAMES or name.suffix.lower() in _KNOWN_EXTENSIONS or name.name.startswith(".git")
    return word if known else None
