"""What the page of a generation makes of its attempts: rail, checks, tests, order of files, suggested name."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from aigen.models import Attempt, GeneratedFile, Generation
from aigen.templatetags import generations as parts


def states(generation, attempts=(), deployment=None):
    return {step["key"]: step["state"] for step in parts.steps_of(generation, list(attempts), deployment)}


def test_a_ready_generation_waits_for_its_deployment():
    assert states(Generation(status="ready")) == dict.fromkeys(("writing", "checking", "testing", "ready"), "done") | {
        "deployed": "todo"
    }


def test_a_live_deployment_completes_the_rail():
    live = SimpleNamespace(status="live", is_ended=False)
    assert states(Generation(status="ready"), deployment=live)["deployed"] == "done"


@pytest.mark.parametrize(
    ("verdict", "step"),
    [
        ("tests_failed", "testing"),
        ("syntax_error", "checking"),
        ("incomplete", "checking"),
        ("provider_error", "writing"),
    ],
)
def test_a_failure_stands_at_the_step_that_failed(verdict, step):
    assert states(Generation(status="failed"), [Attempt(number=1, verdict=verdict)])[step] == "failed"


def test_what_was_not_tested_is_not_shown_as_proved():
    assert states(Generation(status="unverified"))["testing"] == "unproved"


def test_checks_stop_at_the_one_that_failed_and_name_the_place():
    finding = {"path": "server.py", "line": 3, "message": "'(' was never closed", "severity": "error"}
    checks = parts.checks_of(Attempt(verdict="syntax_error", findings=[finding]))
    assert [check.status for check in checks] == ["passed", "passed", "failed"]
    assert (checks[-1].path, checks[-1].line) == ("server.py", 3)


@pytest.mark.parametrize("verdict", ["", "interrupted", "provider_error"])
def test_nothing_is_said_to_be_checked_without_an_answer(verdict):
    assert parts.checks_of(Attempt(verdict=verdict)) == []


def test_a_known_cost_is_summed_and_an_unknown_one_makes_the_sum_unknown():
    known = Attempt(cost="0.5"), Attempt(cost="0.25")
    for attempt in known:
        attempt.clean_fields(exclude=["organisation", "generation", "number"])
    assert parts.usage_of(known)["cost"] == pytest.approx(known[0].cost + known[1].cost)
    assert parts.usage_of([*known, Attempt(cost=None)])["cost"] is None


def test_files_are_read_from_the_main_one_to_the_procfile():
    files = [
        GeneratedFile(path="Procfile", role="code"),
        GeneratedFile(path="README.md", role="docs"),
        GeneratedFile(path="fields.py", role="code"),
        GeneratedFile(path="server.py", role="code"),
        GeneratedFile(path="tests/test_server.py", role="test"),
    ]
    order = [file.path for file in parts.in_reading_order(files)]
    assert order == ["server.py", "fields.py", "tests/test_server.py", "README.md", "Procfile"]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("A to-do list API with title, due date and done flag", "To-do list API with title due"),
        ("<b>Bakery</b>", "B Bakery b"),
        ("…", ""),
    ],
)
def test_the_suggested_name_is_short_and_allowed(title, name):
    assert parts.suggested_name(Generation(title=title)) == name
