"""Writes, checks, tests and repairs one application: the body of the run `aigen.generate`."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from django.conf import settings
from django.db import transaction

from aigen.answers import AnswerFile
from aigen.calls import AnswerStopped, Completion, stream_answer
from aigen.models import Attempt, GeneratedFile, Generation, GenerationStatus, Verdict
from aigen.prompts import generation_prompt, repair_prompt
from aigen.providers.base import Prompt
from aigen.registry import ModelChoice, model_get
from aigen.verification import Judgement, judge
from platform_site.lib.errors import ProviderError
from platform_site.lib.secrets import redact
from platform_site.lib.text import clean_text, shorten
from runs.context import RunContext, RunFailed

# Asking again makes no sense for these: the answer is good, or no answer could change the outcome.
FINAL_VERDICTS = frozenset({Verdict.PASSED, Verdict.CHECKED, Verdict.TESTS_NOT_RUN})
BUILTIN_MAX_TOKENS = 64_000
OUTCOMES = {Verdict.PASSED: GenerationStatus.READY, Verdict.CHECKED: GenerationStatus.UNVERIFIED}


class Generator:
    """One execution of a generation: an answer, its verdict, and up to `GENERATION_MAX_REPAIRS` repairs."""

    def __init__(self, context: RunContext, generation: Generation) -> None:
        self._context = context
        self._generation = generation
        self._choice: ModelChoice = model_get(generation.model)
        self._fingerprints: set[str] = set()

    def execute(self) -> dict[str, Any]:
        """The outcome for the run's result.

        Raises:
            RunFailed: no attempt is good enough; the best one is kept.
        """
        self._settle_interrupted_attempts()
        if not self._generation.attempts.filter(verdict=Verdict.PASSED).exists():
            self._attempt_until_final()
        return self._conclude()

    def _settle_interrupted_attempts(self) -> None:
        """Attempts without a verdict were under way when their worker died."""
        summary = "Steward stopped while this was under way."
        self._generation.attempts.filter(verdict="").update(verdict=Verdict.INTERRUPTED, summary=summary)

    def _attempt_until_final(self) -> None:
        prompt = generation_prompt(
            description=self._generation.prompt,
            language=self._generation.language,
            include_tests=self._generation.include_tests,
            include_docs=self._generation.include_docs,
            model=self._choice.model_id,
            # The limit is there for models; the templates cost nothing and know their own length.
            max_tokens=settings.MAX_TOKENS if self._choice.is_model else BUILTIN_MAX_TOKENS,
            temperature=settings.TEMPERATURE,
        )
        # The templates answer the same again: there is nothing that they could repair.
        repairs = settings.GENERATION_MAX_REPAIRS if self._choice.is_model else 0
        for repair in range(repairs + 1):
            self._context.check_cancelled()
            attempt = self._begin_attempt(repair)
            completion = self._write(attempt, prompt)
            judgement = self._judge(attempt, completion)
            self._context.check_cancelled()
            self._keep(attempt, judgement)
            if judgement.verdict in FINAL_VERDICTS:
                return
            if judgement.fingerprint in self._fingerprints:
                self._context.state("repeated_failure", attempt=attempt.number)
                return
            self._fingerprints.add(judgement.fingerprint)
            prompt = repair_prompt(prompt, completion.text, judgement.failure)

    def _begin_attempt(self, repair: int) -> Attempt:
        number = self._generation.attempts.count() + 1
        attempt = Attempt.objects.create(
            organisation_id=self._generation.organisation_id,
            generation=self._generation,
            number=number,
            purpose="repair" if repair else "write",
        )
        self._context.state("writing", attempt=number, repair=repair, model=self._choice.name)
        self._context.progress(5 + 20 * repair, "Repairing" if repair else "Writing")
        return attempt

    def _write(self, attempt: Attempt, prompt: Prompt) -> Completion:
        try:
            completion = stream_answer(self._context, self._choice, prompt)
        except AnswerStopped as exc:
            _record_completion(attempt, exc.completion)
            attempt.verdict, attempt.summary = Verdict.INTERRUPTED, "Stopped before the answer was complete."
            attempt.save()
            raise
        except ProviderError as exc:
            attempt.verdict, attempt.summary = Verdict.PROVIDER_ERROR, shorten(exc.detail, 500)
            attempt.save()
            self._context.state("verdict", attempt=attempt.number, verdict=attempt.verdict, summary=attempt.summary)
            raise RunFailed(exc.detail, retryable=exc.retryable) from exc
        _record_completion(attempt, completion)
        attempt.save()
        return completion

    def _judge(self, attempt: Attempt, completion: Completion) -> Judgement:
        self._context.state("checking", attempt=attempt.number)
        self._context.progress(60, "Checking and testing")
        judgement = judge(
            completion.text,
            finish_reason=completion.finish_reason,
            language=self._generation.language,
            include_tests=self._generation.include_tests,
            cancel=self._context.cancelled,
            report=lambda stream, line: self._context.line(line, stream=f"test.{stream}"),
        )
        if completion.error:
            judgement.summary = shorten(f"The answer was cut: {completion.error}", 500)
        return judgement

    def _keep(self, attempt: Attempt, judgement: Judgement) -> None:
        """Stores the verdict with its evidence and the files, then tells the log."""
        for name in ("verdict", "findings", "test_exit_code", "test_output", "check_seconds", "test_seconds"):
            setattr(attempt, name, getattr(judgement, name))
        attempt.test_output = redact(attempt.test_output)
        attempt.test_command = shorten(judgement.test_command, 300)
        attempt.summary = shorten(judgement.summary, 500)
        attempt.failure_fingerprint = "" if judgement.verdict in FINAL_VERDICTS else judgement.fingerprint
        with transaction.atomic():
            attempt.save()
            GeneratedFile.objects.bulk_create([_file_row(attempt, file) for file in judgement.files])
        for file in judgement.files:
            self._context.artifact(file.path, attempt=attempt.number, language=file.language, size=len(file.content))
        self._context.state("verdict", attempt=attempt.number, verdict=attempt.verdict, summary=attempt.summary)

    def _conclude(self) -> dict[str, Any]:
        attempts = list(self._generation.attempts.all())
        best = max(attempts, key=lambda attempt: (attempt.rank, attempt.number))
        self._generation.best_attempt = best
        self._generation.save(update_fields=["best_attempt"])
        self._context.progress(100, best.get_verdict_display())
        if best.verdict not in FINAL_VERDICTS:
            tries = f"{len(attempts)} attempts" if len(attempts) > 1 else "one attempt"
            raise RunFailed(shorten(f"Not ready after {tries}: {best.summary}", 500))
        status = OUTCOMES.get(Verdict(best.verdict), GenerationStatus.UNVERIFIED)
        return {"status": status, "summary": best.summary, "attempt": best.number}


def _record_completion(attempt: Attempt, completion: Completion) -> None:
    attempt.answer = redact(clean_text(completion.text))
    attempt.finish_reason = completion.finish_reason
    attempt.input_tokens = completion.usage.input_tokens
    attempt.output_tokens = completion.usage.output_tokens
    attempt.tokens_estimated = completion.usage.estimated
    attempt.cost = completion.cost
    attempt.model_seconds = completion.seconds


def _file_row(attempt: Attempt, file: AnswerFile) -> GeneratedFile:
    content = clean_text(file.content)
    return GeneratedFile(
        organisation_id=attempt.organisation_id,
        attempt=attempt,
        path=file.path,
        content=content,
        language=file.language or "",
        role=role_of(file.path),
        size=len(content.encode()),
    )


def role_of(path: str) -> str:
    """Whether a file is `test`, `docs` or `code`, by the names that the languages use."""
    name, parts = PurePosixPath(path).name.lower(), PurePosixPath(path).parts
    if parts[0] in ("tests", "test", "__tests__") or name.startswith("test_") or ".test." in name or ".spec." in name:
        return "test"
    return "docs" if name.startswith(("readme", "changelog", "licence", "license")) or name.endswith(".md") else "code"
