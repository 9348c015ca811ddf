"""Judges one answer: is it whole, are its files acceptable, does it parse, do its tests pass in the sandbox?

The verdict rests on evidence that is kept: findings with positions, the test command, its exit code and its output.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from aigen.analysis.syntax import check_syntax
from aigen.answers import AnswerFile, parse_answer
from aigen.languages import language_for_path, language_get
from aigen.models import Verdict
from platform_site.lib import sandbox
from platform_site.lib.errors import SandboxUnavailable
from platform_site.lib.sandbox import REASON_TEXT, Limits, Result
from platform_site.lib.text import LineSplitter, clean_text, shorten

TEST_LIMITS = Limits(wall_seconds=60, cpu_seconds=60, output_bytes=256 * 1024)
OWN_CHECK_LIMITS = Limits(wall_seconds=15, cpu_seconds=15, output_bytes=32 * 1024)
OUTPUT_FOR_REPAIR = 6_000

Report = Callable[[str, str], None]
"""Called with (stream, line) for every line of test output as it comes."""

# How the test runners we start tell how many tests ran: unittest, node --test (TAP and spec reporters).
_TEST_COUNTS = re.compile(r"^(?:Ran (\d+) tests? in|# tests (\d+)$|ℹ tests (\d+)$)", re.MULTILINE)  # noqa: RUF001
# What differs between two runs of the same failure: durations, addresses, ports, temporary names.
_VOLATILE = re.compile(r"0x[0-9a-f]+|\d+(?:\.\d+)?\s?m?s\b|:\d{4,5}\b|/tmp/\S+|\b\d+\.\d+\b")


@dataclass
class Judgement:
    """The verdict on one answer and what it rests on. `failure` is what a repair is asked to mend."""

    verdict: Verdict
    summary: str
    files: Sequence[AnswerFile] = ()
    findings: list[dict[str, Any]] = field(default_factory=list)
    test_command: str = ""
    test_exit_code: int | None = None
    test_output: str = ""
    check_seconds: float = 0.0
    test_seconds: float = 0.0

    @property
    def failure(self) -> str:
        """The failure as the model is told it."""
        lines = [self.summary]
        lines += [f"{f['path']}:{f['line']}:{f['column']}: {f['message']}" for f in self.findings if "line" in f]
        lines += [f"{f.get('path') or 'answer'}: {f['message']}" for f in self.findings if "line" not in f]
        if self.test_output:
            lines += [f"$ {self.test_command}", _end_of(self.test_output, OUTPUT_FOR_REPAIR)]
        return "\n".join(lines)

    @property
    def fingerprint(self) -> str:
        """Equal for the same failure seen twice, whatever changes from run to run."""
        return hashlib.sha256(_VOLATILE.sub("_", self.failure).encode("utf-8", "replace")).hexdigest()


def _end_of(text: str, characters: int) -> str:
    return text if len(text) <= characters else "[…]\n" + text[-characters:]


def judge(
    answer: str, *, finish_reason: str, language: str, include_tests: bool, cancel: Event, report: Report
) -> Judgement:
    """Checks an answer, and runs its tests where all checks hold.

    Args:
        answer: the model's text.
        finish_reason: how the model ended it; everything but `stop` is an incomplete answer.
        cancel: ends the tests when set.
    """
    started = time.monotonic()
    judgement = _check(answer, finish_reason=finish_reason, language=language, cancel=cancel)
    judgement.check_seconds = time.monotonic() - started
    if judgement.verdict == Verdict.CHECKED and include_tests and not cancel.is_set():
        started = time.monotonic()
        _test(judgement, language=language, cancel=cancel, report=report)
        judgement.test_seconds = time.monotonic() - started
    return judgement


def _check(answer: str, *, finish_reason: str, language: str, cancel: Event) -> Judgement:
    parsed = parse_answer(answer, language=language, finish_reason=finish_reason)
    problems = [{"code": p.code, "message": p.detail, "path": p.path or ""} for p in parsed.problems]
    if not parsed.complete:
        summary = problems[0]["message"] if problems else "The answer is not complete."
        if not parsed.files and finish_reason == "stop":  # it says in words why it wrote nothing
            summary = shorten(f"{summary}. It says: {' '.join(clean_text(answer).split())}", 400)
        verdict = Verdict.INCOMPLETE if finish_reason != "stop" or not parsed.files else Verdict.INVALID_FILES
        return Judgement(verdict, summary, parsed.files, problems)
    findings = [
        _finding(file.path, "has control or text-reordering characters") for file in parsed.files if _is_unclean(file)
    ]
    findings += [
        {"path": f.path, "line": f.line, "column": f.column, "message": f.message, "severity": f.severity}
        for file in parsed.files
        for f in check_syntax(file.path, file.content, file.language or language)
    ]
    errors = [finding for finding in findings if finding["severity"] == "error"]
    if not errors:
        errors = _own_check(parsed.files, cancel)
        findings += errors
    if errors:
        first = errors[0]
        summary = f"{first['path']}, line {first['line']}: {first['message']}"
        return Judgement(Verdict.SYNTAX_ERROR, shorten(summary, 500), parsed.files, findings)
    return Judgement(Verdict.CHECKED, f"{len(parsed.files)} files, no syntax errors.", parsed.files, findings)


def _own_check(files: Sequence[AnswerFile], cancel: Event) -> list[dict[str, Any]]:
    """Runs the languages' own parsers that are programs; they read hostile text, so in the sandbox or not at all."""
    if not sandbox.availability().ok:
        return []
    findings = []
    tree = _as_bytes(files)
    for file in files:
        known = language_for_path(file.path)
        argv = known.own_check_argv(file.path) if known and known.is_runnable() else None
        if argv is None or cancel.is_set():
            continue
        result = sandbox.run(argv, files=tree, limits=OWN_CHECK_LIMITS, cancel=cancel)
        if not result.ok:
            message = clean_text(result.stderr or result.stdout).strip() or REASON_TEXT[result.reason]
            line = re.search(rf"{re.escape(file.path)}:(\d+)", message)
            findings.append(_finding(file.path, message, line=int(line.group(1)) if line else 1))
    return findings


def _finding(path: str, message: str, *, line: int = 1) -> dict[str, Any]:
    return {"path": path, "line": line, "column": 1, "message": shorten(message, 400), "severity": "error"}


def _is_unclean(file: AnswerFile) -> bool:
    """Whether storing the file would change it: what is tested must be what is kept and deployed."""
    return clean_text(file.content) != file.content


def _as_bytes(files: Sequence[AnswerFile]) -> dict[str, bytes]:
    return {file.path: file.content.encode("utf-8", "replace") for file in files}


def _test(judgement: Judgement, *, language: str, cancel: Event, report: Report) -> None:
    known = language_get(language)
    argv = known.test_command([file.path for file in judgement.files])
    if argv is None:
        if known.tests is None:
            judgement.verdict = Verdict.TESTS_NOT_RUN
            judgement.summary = f"Steward cannot run tests in {known.label} yet, so nothing was tested."
        else:
            judgement.verdict = Verdict.TESTS_FAILED
            judgement.summary = "Tests were asked for, and the answer contains none that the test runner finds."
        return
    judgement.test_command = " ".join(argv)
    if not known.is_runnable():
        judgement.verdict = Verdict.TESTS_NOT_RUN
        judgement.summary = f"{argv[0]} is not installed on this host, so the tests could not run."
        return
    try:
        result = _run_reported(argv, judgement.files, cancel, report)
    except SandboxUnavailable as exc:
        judgement.verdict, judgement.summary = Verdict.TESTS_NOT_RUN, exc.detail
        return
    judgement.test_exit_code = result.exit_code
    judgement.test_output = _output_of(result)
    judgement.verdict, judgement.summary = _test_verdict(result, judgement.test_output)


def _run_reported(argv: list[str], files: Sequence[AnswerFile], cancel: Event, report: Report) -> Result:
    splitters: dict[str, LineSplitter] = {}

    def on_output(stream: str, data: bytes) -> None:
        for line in splitters.setdefault(stream, LineSplitter()).feed(data):
            report(stream, line)

    result = sandbox.run(argv, files=_as_bytes(files), limits=TEST_LIMITS, cancel=cancel, on_output=on_output)
    for stream, splitter in splitters.items():
        for line in splitter.close():
            report(stream, line)
    return result


def _output_of(result: Result) -> str:
    output = "\n".join(clean_text(part).rstrip() for part in (result.stdout, result.stderr) if part)
    return output + ("\n[output cut]" if result.truncated else "")


def _test_verdict(result: Result, output: str) -> tuple[Verdict, str]:
    counts = [int(next(filter(None, groups), "0")) for groups in _TEST_COUNTS.findall(output)]
    ran = counts[-1] if counts else 0
    if result.reason != "exited":
        return Verdict.TESTS_FAILED, REASON_TEXT[result.reason]
    if result.exit_code != 0:
        return Verdict.TESTS_FAILED, f"The tests failed (exit code {result.exit_code}, {ran} ran)."
    if ran == 0:
        return Verdict.TESTS_FAILED, "The test runner found no test to run."
    return Verdict.PASSED, f"{ran} test{'s' if ran != 1 else ''} passed."
