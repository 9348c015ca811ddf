"""What the page of a generation shows of its attempts: the rail of steps, the checks, the tests, the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import template

from aigen.entry_points import PROCFILE, web_command
from aigen.models import Attempt, GeneratedFile, Generation, GenerationStatus, Verdict
from platform_site.lib.errors import InvalidRequest

register = template.Library()

STEPS = {"writing": "Writing", "checking": "Checking", "testing": "Testing", "ready": "Ready", "deployed": "Deployed"}
# The check that said no, in the order in which they are made.
CHECKS = {
    Verdict.INCOMPLETE: "Answer is whole",
    Verdict.INVALID_FILES: "File names",
    Verdict.SYNTAX_ERROR: "Syntax",
}
TEST_STATUS = {Verdict.PASSED: "passed", Verdict.TESTS_FAILED: "failed", Verdict.TESTS_NOT_RUN: "skipped"}
MAIN_NAMES = frozenset({"server", "index", "main", "app", "cli"})
ARTICLES = frozenset({"a", "an", "the"})
MAX_SUGGESTED = 32
SHOWN_FINDINGS = 8
PROGRESS_OF_CHECKS = 60


@dataclass(frozen=True)
class Check:
    """One line of the list of checks; `status` is passed or failed."""

    name: str
    status: str
    detail: str = ""
    path: str = ""
    line: int | None = None


@dataclass(frozen=True)
class Tests:
    """What running the tests of an attempt gave; `status` is passed, failed or skipped."""

    status: str
    summary: str
    command: str
    output: str
    seconds: float


@register.filter
def is_working(generation: Generation) -> bool:
    """Whether it may still change."""
    return generation.status in (GenerationStatus.QUEUED, GenerationStatus.RUNNING)


@register.filter
def is_builtin(generation: Generation) -> bool:
    """Whether it came from the built-in templates instead of a model."""
    return generation.model.partition("/")[0] == "builtin"


@register.filter
def serves(files: Sequence[GeneratedFile]) -> bool:
    """Whether these files are a web application, which is what can be deployed."""
    try:
        return web_command({file.path: file.content for file in files}) is not None
    except InvalidRequest:
        return False


@register.filter
def suggested_name(generation: Generation) -> str:
    """A name for its application: the first words of what was asked, of characters that a name may have."""
    allowed = "".join(letter if letter.isalnum() or letter in " -" else " " for letter in generation.title).split()
    words = allowed[1:] if allowed and allowed[0].lower() in ARTICLES else allowed
    name = ""
    for word in words:
        if len(f"{name} {word}") > MAX_SUGGESTED:
            break
        name = f"{name} {word}".strip()
    return name[:1].upper() + name[1:]


@register.simple_tag
def shown_attempt(generation: Generation, attempts: Sequence[Attempt]) -> Attempt | None:
    """The attempt whose evidence stands for the generation: the best one, and while there is none the latest."""
    best = [attempt for attempt in attempts if attempt.pk == generation.best_attempt_id]
    return next(iter(best or reversed(attempts)), None)


@register.simple_tag
def checks_of(attempt: Attempt | None) -> list[Check]:
    """Nothing until there is a verdict, and nothing when the model gave no answer to check."""
    if attempt is None or attempt.rank < Verdict.values.index(Verdict.INCOMPLETE):
        return []
    checks: list[Check] = []
    for verdict, name in CHECKS.items():
        if attempt.verdict == verdict:
            return checks + (_failed(name, attempt.findings) or [Check(name, "failed", attempt.summary)])
        checks.append(Check(name, "passed"))
    return checks


def _failed(name: str, findings: Sequence[dict[str, Any]]) -> list[Check]:
    errors = [finding for finding in findings if finding.get("severity", "error") == "error"]
    return [
        Check(name, "failed", str(found.get("message", "")), str(found.get("path") or ""), found.get("line"))
        for found in errors[:SHOWN_FINDINGS]
    ]


@register.simple_tag
def tests_of(attempt: Attempt | None) -> Tests | None:
    """None where no test was tried."""
    if attempt is None or attempt.verdict not in TEST_STATUS:
        return None
    status = TEST_STATUS[Verdict(attempt.verdict)]
    return Tests(status, attempt.summary, attempt.test_command, attempt.test_output, attempt.test_seconds)


@register.simple_tag
def usage_of(attempts: Sequence[Attempt]) -> dict[str, Any] | None:
    """Tokens and cost of all attempts together; the cost is None as soon as one price is not known."""
    if not attempts:
        return None
    costs = [attempt.cost for attempt in attempts if attempt.cost is not None]
    return {
        "input_tokens": sum(attempt.input_tokens for attempt in attempts),
        "output_tokens": sum(attempt.output_tokens for attempt in attempts),
        "estimated": any(attempt.tokens_estimated for attempt in attempts),
        "cost": sum(costs, Decimal(0)) if len(costs) == len(attempts) else None,
    }


@register.simple_tag
def documentation_of(files: Sequence[GeneratedFile]) -> str:
    """The README, which is the documentation that generations come with."""
    return next((file.content for file in files if file.path.lower() == "readme.md"), "")


@register.simple_tag
def in_reading_order(files: Sequence[GeneratedFile]) -> list[GeneratedFile]:
    """What readers want to see first comes first: the main code, the rest of it, tests, documentation, Procfile."""

    def place(file: GeneratedFile) -> tuple[bool, int, bool, str]:
        folder, _, name = file.path.rpartition("/")
        roles = ("code", "test", "docs")
        main = name.rpartition(".")[0] in MAIN_NAMES and not folder
        return file.path == PROCFILE, roles.index(file.role) if file.role in roles else 0, not main, file.path

    return sorted(files, key=place)


@register.simple_tag
def steps_of(generation: Generation, attempts: Sequence[Attempt], deployment: Any = None) -> list[dict[str, str]]:
    """The rail: every step with `key`, `label` and a state of `done now failed stopped unproved todo`."""
    keys = list(STEPS)
    step, state = _last_step(generation, attempts, deployment)
    at = keys.index(step)
    states = ["done"] * at + [state] + ["todo"] * (len(keys) - at - 1)
    return [{"key": key, "label": STEPS[key], "state": now} for key, now in zip(keys, states, strict=True)]


def _last_step(generation: Generation, attempts: Sequence[Attempt], deployment: Any) -> tuple[str, str]:
    if generation.status == GenerationStatus.READY:
        return "deployed", _deployed(deployment)
    if generation.status == GenerationStatus.UNVERIFIED:
        return "testing", "unproved"
    if generation.status == GenerationStatus.FAILED:
        return _step_of_verdict(shown_attempt(generation, attempts)), "failed"
    checking = generation.run is not None and generation.run.progress >= PROGRESS_OF_CHECKS
    return "checking" if checking else "writing", "now" if is_working(generation) else "stopped"


def _deployed(deployment: Any) -> str:
    if not deployment:
        return "todo"
    return {"live": "done", "failed": "failed"}.get(
        str(deployment.status), "now" if not deployment.is_ended else "todo"
    )


def _step_of_verdict(attempt: Attempt | None) -> str:
    if attempt is None or attempt.rank < Verdict.values.index(Verdict.INCOMPLETE):
        return "writing"
    return "checking" if attempt.verdict in CHECKS else "testing"
