"""The walk through the main job: what it asks an application for, how it shows things, and that failures count."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from platform_site.demo.exercise import Page, Record, exercise_for
from platform_site.demo.failure import StepFailed
from platform_site.demo.terminal import Terminal
from platform_site.env import BASE_DIR

CURL = """
    curl -X POST http://127.0.0.1:8080/api/todos \\
      -H 'Content-Type: application/json' \\
      -d '{"title": "Example title", "done": true}'
"""


def generation(documentation="", **files):
    return {"documentation": documentation, "files": [{"path": path, "content": text} for path, text in files.items()]}


def test_record_is_made_from_the_example_in_the_readme():
    exercise = exercise_for(generation(CURL))
    assert isinstance(exercise, Record)
    assert exercise.path == "/api/todos"
    assert exercise.body["done"] is True
    assert exercise.body["title"].startswith("Seen by the demo ")


def test_page_is_asked_for_where_no_record_can_be_made():
    assert exercise_for(generation("A site.", **{"index.html": "<h1>Hello</h1>"})) == Page("<h1>Hello</h1>")


def test_application_without_either_fails_the_step():
    with pytest.raises(StepFailed, match="nothing is known to ask for"):
        exercise_for(generation("curl -X POST without an address"))


def test_plain_output_has_no_control_characters():
    out = io.StringIO()
    terminal = Terminal.on(out)
    terminal.heading("[1/2] Step")
    terminal.live("half")
    terminal.line("from the model: \x1b[2J\x07")
    terminal.table([("Step", "1.00 s", "done")])
    assert all(character.isprintable() or character == "\n" for character in out.getvalue())


@pytest.mark.slow
def test_step_that_fails_is_named_and_nothing_is_left(tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "manage.py", "demo", "--model", "nobody/knows-it"],
        cwd=BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "FAILED at “Write, check and test the application”" in done.stdout
    assert "The model 'nobody/knows-it' is not configured" in done.stdout
    assert list(tmp_path.glob("steward-demo-*")) == []
