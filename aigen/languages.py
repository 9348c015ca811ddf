"""The programming languages that Steward knows, and what it can do for each: parse, test, run, deploy."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from aigen.entry_points import command_expand, command_parse, web_command
from platform_site.lib.errors import InvalidRequest

if TYPE_CHECKING:
    import tree_sitter

__all__ = [
    "LANGUAGES",
    "Language",
    "command_expand",
    "command_parse",
    "language_find",
    "language_for_path",
    "language_get",
    "tree_sitter_language",
    "web_command",
]

TestCommand = Callable[[Collection[str]], "list[str] | None"]


@dataclass(frozen=True)
class Language:
    """One language.

    Attributes:
        grammar: module and function of its tree-sitter grammar, which `tree_sitter_language` loads when it is needed.
        own_check: argv of the language's own parser up to the file name. It reads hostile text, so it is started in
            the sandbox only. Python, JSON and YAML have parsers in `aigen.analysis` instead (`own_parser`).
        runtime: the program that executes it, or None.
        deployable: an application in this language can be put on a target.
    """

    name: str
    label: str
    extensions: tuple[str, ...]
    default_file: str
    grammar: tuple[str, str]
    aliases: tuple[str, ...] = ()
    file_names: tuple[str, ...] = ()
    own_check: tuple[str, ...] = ()
    own_parser: bool = False
    runtime: str | None = None
    deployable: bool = False
    tests: TestCommand | None = None

    def test_command(self, files: Collection[str]) -> list[str] | None:
        """The argv that runs the tests among `files` (relative paths) from the root of the tree, or None."""
        return self.tests(files) if self.tests else None

    def own_check_argv(self, path: str) -> list[str] | None:
        """The argv of the language's own parser for one file, to be run in the sandbox, or None."""
        # Node refuses to look at JSX; the grammar has read it already.
        return [*self.own_check, path] if self.own_check and not path.endswith(".jsx") else None

    def is_runnable(self) -> bool:
        """Whether this machine has the program that executes the language."""
        return self.runtime is not None and shutil.which(self.runtime) is not None

    def support(self) -> dict[str, Any]:
        """What the platform does for the language, as plain data for the API and the pages."""
        return {
            "name": self.name,
            "label": self.label,
            "aliases": list(self.aliases),
            "extensions": list(self.extensions),
            "generate": True,
            "syntax": True,
            "own_parser": self.own_parser or (bool(self.own_check) and self.is_runnable()),
            "tests": self.tests is not None and self.is_runnable(),
            "deploy": self.deployable and self.is_runnable(),
        }


def _python_tests(files: Collection[str]) -> list[str] | None:
    for directory in ("tests", "test", ""):
        prefix = f"{directory}/" if directory else ""
        if any(_is_python_test(path, prefix) for path in files):
            start = ["-s", directory] if directory else []
            return ["python3", "-m", "unittest", "discover", *start, "-v"]
    return None


def _is_python_test(path: str, prefix: str) -> bool:
    name = path.rpartition("/")[2]
    below = path.startswith(prefix) if prefix else "/" not in path
    return below and name.startswith("test") and name.endswith(".py")


def _node_tests(files: Collection[str]) -> list[str] | None:
    """Named files, because `node --test <directory>` means different things in Node 20 and 22."""
    suffixes = tuple(f"{mark}test.{ending}" for mark in (".", "-", "_") for ending in ("js", "mjs", "cjs"))
    found = sorted(path for path in files if path.endswith(suffixes))
    return ["node", "--test", *found] if found else None


def _static_site_tests(files: Collection[str]) -> list[str] | None:
    return _python_tests(files) or _node_tests(files)


LANGUAGES: dict[str, Language] = {
    language.name: language
    for language in (
        Language(
            "python",
            "Python",
            (".py", ".pyi"),
            "main.py",
            ("tree_sitter_python", "language"),
            aliases=("py", "python3", "py3"),
            own_parser=True,
            runtime="python3",
            deployable=True,
            tests=_python_tests,
        ),
        Language(
            "javascript",
            "JavaScript",
            (".js", ".mjs", ".cjs", ".jsx"),
            "index.js",
            ("tree_sitter_javascript", "language"),
            aliases=("js", "node", "nodejs", "node.js", "jsx", "ecmascript", "mjs"),
            own_check=("node", "--check"),
            runtime="node",
            deployable=True,
            tests=_node_tests,
        ),
        Language(
            "typescript",
            "TypeScript",
            (".ts", ".tsx", ".mts", ".cts"),
            "index.ts",
            ("tree_sitter_typescript", "language_typescript"),
            aliases=("ts", "tsx"),
        ),
        Language(
            "html",
            "HTML",
            (".html", ".htm", ".xhtml"),
            "index.html",
            ("tree_sitter_html", "language"),
            aliases=("html5", "htm", "web"),
            runtime="python3",
            deployable=True,
            tests=_static_site_tests,
        ),
        Language("css", "CSS", (".css",), "style.css", ("tree_sitter_css", "language"), aliases=("css3",)),
        Language("java", "Java", (".java",), "Main.java", ("tree_sitter_java", "language")),
        Language("go", "Go", (".go",), "main.go", ("tree_sitter_go", "language"), aliases=("golang",)),
        Language("rust", "Rust", (".rs",), "main.rs", ("tree_sitter_rust", "language"), aliases=("rs",)),
        Language("c", "C", (".c", ".h"), "main.c", ("tree_sitter_c", "language"), aliases=("h",)),
        Language(
            "cpp",
            "C++",
            (".cpp", ".cc", ".cxx", ".hpp", ".hh", ".hxx"),
            "main.cpp",
            ("tree_sitter_cpp", "language"),
            aliases=("c++", "cxx", "cc", "hpp"),
        ),
        Language(
            "csharp",
            "C#",
            (".cs",),
            "Program.cs",
            ("tree_sitter_c_sharp", "language"),
            aliases=("c#", "cs", "c-sharp", "dotnet"),
        ),
        Language(
            "php",
            "PHP",
            (".php",),
            "index.php",
            ("tree_sitter_php", "language_php"),
            own_check=("php", "-l"),
            runtime="php",
        ),
        Language(
            "ruby",
            "Ruby",
            (".rb",),
            "main.rb",
            ("tree_sitter_ruby", "language"),
            aliases=("rb",),
            file_names=("gemfile", "rakefile"),
            own_check=("ruby", "-c"),
            runtime="ruby",
        ),
        Language("kotlin", "Kotlin", (".kt", ".kts"), "Main.kt", ("tree_sitter_kotlin", "language"), aliases=("kt",)),
        Language(
            "bash",
            "Bash",
            (".sh", ".bash"),
            "main.sh",
            ("tree_sitter_bash", "language"),
            aliases=("sh", "shell", "zsh"),
            own_check=("bash", "-n"),
            runtime="bash",
        ),
        Language(
            "sql", "SQL", (".sql",), "main.sql", ("tree_sitter_sql", "language"), aliases=("sqlite", "postgresql")
        ),
        Language("json", "JSON", (".json",), "data.json", ("tree_sitter_json", "language"), own_parser=True),
        Language(
            "yaml",
            "YAML",
            (".yaml", ".yml"),
            "config.yaml",
            ("tree_sitter_yaml", "language"),
            aliases=("yml",),
            own_parser=True,
        ),
    )
}
"""Every supported language by name, in the order in which pages list them."""

_BY_NAME = {name: language for language in LANGUAGES.values() for name in (language.name, *language.aliases)}
_BY_EXTENSION = {extension: language for language in LANGUAGES.values() for extension in language.extensions}
_BY_FILE_NAME = {name: language for language in LANGUAGES.values() for name in language.file_names}


def language_find(name: str) -> Language | None:
    """The language of that name or alias, whatever its case, or None."""
    return _BY_NAME.get(name.strip().casefold()) if len(name) < 100 else None


def language_get(name: str) -> Language:
    """The language of that name or alias, whatever its case.

    Raises:
        InvalidRequest: it is not supported; `errors` names the field `programming_language`.
    """
    language = language_find(name) if isinstance(name, str) else None
    if language is None:
        given = str(name)
        given = given if len(given) <= 40 else f"{given[:40]}..."
        problem = f"Programming language {given!r} is not supported"
        known = ", ".join(LANGUAGES)
        raise InvalidRequest(problem, errors={"programming_language": [f"{problem}. Supported: {known}."]})
    return language


def language_for_path(path: str) -> Language | None:
    """The language of a file by its name, or None for files that are not code."""
    name = PurePosixPath(path.casefold())
    return _BY_FILE_NAME.get(name.name) or _BY_EXTENSION.get(name.suffix)


@lru_cache(maxsize=64)
def tree_sitter_language(name: str, extension: str = "") -> tree_sitter.Language:
    """The tree-sitter grammar of a language; `extension` tells dialects apart (`.tsx`).

    Imported here and not on top: eighteen shared libraries cost start-up time that most processes never need.
    """
    module, function = LANGUAGES[name].grammar
    if extension == ".tsx":
        function = "language_tsx"
    tree_sitter_module = importlib.import_module("tree_sitter")
    grammar: tree_sitter.Language = tree_sitter_module.Language(getattr(importlib.import_module(module), function)())
    return grammar
