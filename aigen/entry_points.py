"""How a generated web application is started, found from its files. Commands are argv lists; no shell reads them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence

from aigen.paths import InvalidPath, check_path
from platform_site.lib.errors import InvalidRequest

PROCFILE = "Procfile"
MAX_COMMAND_LENGTH = 1000

_SHELL_SYNTAX = re.compile(r"[|&;<>`\n]|\$\(")
_VARIABLE = re.compile(
    r"\$(?:\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}$]*))?\}|(?P<plain>[A-Za-z_]\w*))"
)
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_PYTHON_SERVES = re.compile(r"http\.server|HTTPServer|serve_forever|socketserver|wsgiref|asyncio\.start_server")
_NODE_SERVES = re.compile(r"createServer\s{0,9}\(|\.listen\s{0,9}\(")
_STATIC_ROOTS = ("", "public", "static", "site", "dist", "www", "docs")


class InvalidCommand(InvalidRequest):
    """A start command that cannot be run as it is written, for example because it needs a shell."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The start command is refused: {reason}", errors={"command": [reason]})


def web_command(files: Mapping[str, str]) -> list[str] | None:
    """The argv that starts the web application in `files` (content by relative path), or None if there is none.

    `$PORT` and `$DATA_DIR` may occur in it; `command_expand` fills them in. In order: the `web:` line of the Procfile,
    the start script of package.json, a known server file, a static site.

    Raises:
        InvalidCommand: the Procfile has a `web:` line that cannot be run without a shell.
    """
    return _from_procfile(files) or _from_package(files) or _from_server_file(files) or _from_static_site(files)


def command_parse(line: str) -> list[str]:
    """The argv of a command line; `python` becomes `python3`.

    Raises:
        InvalidCommand: it is empty, over-long, badly quoted, or uses shell syntax.
    """
    if len(line) > MAX_COMMAND_LENGTH:
        raise InvalidCommand(f"it is longer than {MAX_COMMAND_LENGTH} characters")
    if "\0" in line or _SHELL_SYNTAX.search(line):
        raise InvalidCommand("it uses shell syntax; write one program with its arguments")
    try:
        argv = shlex.split(line)
    except ValueError as exc:
        raise InvalidCommand("its quotes do not match") from exc
    if argv and _ASSIGNMENT.match(argv[0]):
        raise InvalidCommand("it sets environment variables; the platform does that")
    if not argv or not argv[0]:
        raise InvalidCommand("it is empty")
    return ["python3", *argv[1:]] if argv[0] == "python" else argv


def command_expand(argv: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """The argv with `$NAME`, `${NAME}` and `${NAME:-default}` filled in.

    Unknown names without a default stay as they are. A value never becomes more than one argument.
    """

    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["plain"]
        fallback = match["default"]
        return variables.get(name, match[0] if fallback is None else fallback)

    return [_VARIABLE.sub(value, argument) for argument in argv]


def _from_procfile(files: Mapping[str, str]) -> list[str] | None:
    for line in files.get(PROCFILE, "").splitlines():
        process, colon, command = line.partition(":")
        if colon and process.strip() == "web":
            argv = command_parse(command.strip())
            return _npm_start(argv, files) or argv
    return None


def _npm_start(argv: list[str], files: Mapping[str, str]) -> list[str] | None:
    """npm would start a shell, so its script is read instead."""
    if argv not in (["npm", "start"], ["npm", "run", "start"]):
        return None
    if (found := _from_package(files)) is None:
        raise InvalidCommand("package.json has no start script of the form `node <file>`")
    return found


def _from_package(files: Mapping[str, str]) -> list[str] | None:
    try:
        package = json.loads(files.get("package.json", ""))
        script = package["scripts"]["start"]
        argv = shlex.split(script) if isinstance(script, str) and len(script) <= MAX_COMMAND_LENGTH else []
        program, path = argv
        name = check_path(path)
    except (ValueError, KeyError, TypeError, RecursionError, InvalidPath):
        return None
    return ["node", name] if program == "node" and name in files else None


def _from_server_file(files: Mapping[str, str]) -> list[str] | None:
    if "server.py" in files:
        return ["python3", "server.py"]
    for name in ("app.py", "main.py"):
        if _PYTHON_SERVES.search(files.get(name, "")):
            return ["python3", name]
    for name in ("server.js", "server.mjs", "server.cjs"):
        if name in files:
            return ["node", name]
    for name in ("app.js", "index.js", "main.js", "index.mjs"):
        if _NODE_SERVES.search(files.get(name, "")):
            return ["node", name]
    return None


def _from_static_site(files: Mapping[str, str]) -> list[str] | None:
    for root in _STATIC_ROOTS:
        if (f"{root}/index.html" if root else "index.html") in files:
            directory = ["--directory", root] if root else []
            return ["python3", "-m", "http.server", "$PORT", "--bind", "127.0.0.1", *directory]
    return None
