"""The project's own files: templates that exist, and nothing that belongs to one machine."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.template.loader import get_template

from tests.serving import ROOT

ROOMS = ["platform_site", "observability", "accounts", "runs", "aigen", "conversations", "deployments", "appliances"]
NOT_OURS = {"var", ".env", "vendor", "node_modules", "__pycache__"}
REGISTRIES = ["pypi.org", "pythonhosted.org", "registry.npmjs.org", "registry.yarnpkg.com", "proxy.golang.org"]
NOT_VIEWS = {"tests", "builtin"}  # generated applications have pages of their own
RENDERING = {"render", "render_to_string", "get_template", "select_template"}
INCLUDED = re.compile(r"""{%\s*(?:include|extends)\s+["']([^"']+)["']""")


def own_files() -> list[Path]:
    """Every text file of the project."""
    found = []
    for folder, names, files in os.walk(ROOT):
        names[:] = [name for name in names if name not in NOT_OURS and (name == ".ci" or not name.startswith("."))]
        found += [
            Path(folder, name)
            for name in files
            if name not in NOT_OURS and not name.endswith((".pyc", ".png", ".woff2", ".ico", ".sqlite3"))
        ]
    return found


def text_of(path: Path) -> str:
    return path.read_text(errors="replace")


def rendered_in(source: str) -> set[str]:
    """The template names that are given to Django's rendering functions in Python code."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    rendering = [call for call in calls if getattr(call.func, "id", getattr(call.func, "attr", "")) in RENDERING]
    values = [argument.value for call in rendering for argument in call.args if isinstance(argument, ast.Constant)]
    return {value for value in values if isinstance(value, str) and value.endswith(".html")}


def named_templates() -> set[str]:
    """The templates that views render and that templates include."""
    sources = [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if not NOT_VIEWS & set(path.parts)]
    names = {name for path in sources for name in rendered_in(text_of(path))}
    for path in (ROOT / "templates").rglob("*.html"):
        names |= set(INCLUDED.findall(text_of(path)))
    return names


def test_every_template_that_is_named_exists_and_parses():
    names = named_templates()
    assert len(names) > 20
    for name in sorted(names):
        get_template(name)
    for path in (ROOT / "templates").rglob("*.html"):
        get_template(str(path.relative_to(ROOT / "templates")))


def configured_hosts() -> list[str]:
    """Hosts that this machine installs packages from, whatever they are."""
    asked = subprocess.run(["pip", "config", "list"], capture_output=True, text=True, check=False).stdout
    said = [
        *re.findall(r"https?://[^\s'\"]+", asked),
        *(os.environ.get(name, "") for name in ("PIP_INDEX_URL", "UV_INDEX_URL")),
    ]
    hosts = {urlsplit(url).hostname or "" for url in said}
    return sorted(host for host in hosts if host and host not in ("localhost", "127.0.0.1"))


@pytest.mark.parametrize("path", [pytest.param(ROOT, id="project")])
def test_no_file_names_a_path_of_a_machine_or_a_registry(path):
    here = re.escape(str(path))
    home = re.escape(str(Path.home()))
    forbidden = re.compile(
        rf"{here}\b|{home}/\.|/home/(?!steward\b)[a-z]\w+/|/Users/\w+/|"
        + "|".join(map(re.escape, [*REGISTRIES, *configured_hosts()]))
    )
    found = {
        str(file.relative_to(path)): match[0]
        for file in own_files()
        if file != Path(__file__) and (match := forbidden.search(text_of(file)))
    }
    assert found == {}
