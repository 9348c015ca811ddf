"""The documentation says what is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from platform_site.demo.server import Server

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").rglob("*.md")]
REASONS = ROOT / "docs" / "adr" / "0010-dependencies.md"


def requirements(name: str) -> list[str]:
    lines = [line.strip() for line in (ROOT / name).read_text().splitlines()]
    return [re.split(r"[~=<>\[]", line)[0] for line in lines if line and not line.startswith(("#", "-r"))]


def reasons() -> set[str]:
    named = set()
    for row in re.findall(r"^\| ([^|]+) \|", REASONS.read_text(), re.MULTILINE):
        names = [name.partition("[")[0] for name in row.split(", ")]
        named |= {names[0].rsplit("-", 1)[0] + name if name.startswith("-") else name for name in names}
    return named


@pytest.mark.parametrize("name", ["requirements.in", "requirements-dev.in"])
def test_every_dependency_has_its_reason(name):
    assert set(requirements(name)) - reasons() == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document):
    links = re.findall(r"\]\(([^)#\s]+)\)", document.read_text())
    missing = [link for link in links if not link.startswith("http") and not (document.parent / link).exists()]
    assert missing == []


@pytest.mark.slow
def test_walk_in_the_readme_works():
    script = re.search(r"<!-- walk -->\n```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    server = Server()
    try:
        script = script.replace("http://127.0.0.1:8000", server.wait_ready())
        done = subprocess.run(["bash", "-eu", "-c", script], capture_output=True, text=True, timeout=120)
    finally:
        server.discard()
    assert done.returncode == 0, done.stderr
    assert "tests passed." in done.stdout
    assert '"title": "Water the plants"' in done.stdout
    assert "POST /api/todos 201" in done.stdout
    assert done.stdout.strip().endswith("stopping")
