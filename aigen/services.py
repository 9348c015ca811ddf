"""What people can do with generations and provider endpoints."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import uuid
import zipfile

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from accounts.permissions import OPERATE, require_in
from aigen.languages import language_get
from aigen.models import GeneratedFile, Generation, GenerationStatus, ProviderEndpoint
from aigen.registry import from_row, model_find, provider_for
from platform_site.lib.errors import Conflict, InvalidRequest, NotFound
from platform_site.lib.text import clean_text, shorten
from runs import queue
from runs.models import Run, RunState

PROMPT_MIN, PROMPT_MAX = 10, 2_000
KIND = "aigen.generate"

_STATUS_OF_RUN = {
    RunState.QUEUED: GenerationStatus.QUEUED,
    RunState.RUNNING: GenerationStatus.RUNNING,
    RunState.FAILED: GenerationStatus.FAILED,
    RunState.CANCELLED: GenerationStatus.CANCELLED,
    RunState.INTERRUPTED: GenerationStatus.INTERRUPTED,
}


def generation_create(
    *,
    actor: User,
    organisation_id: uuid.UUID,
    prompt: str,
    language: str,
    include_tests: bool = True,
    include_docs: bool = True,
    model: str | None = None,
    idempotency_key: str | None = None,
) -> Generation:
    """A new generation, queued. The same idempotency key answers the generation it made before.

    Raises:
        InvalidRequest: the prompt is not 10 to 2,000 characters long, or language or model are not known.
        Conflict: the idempotency key was used for something else.
    """
    require_in(actor, OPERATE, organisation_id)
    prompt = check_prompt(prompt)
    known_language = language_get(language)
    choice = model_find(model)
    request = [prompt, known_language.name, choice.name, include_tests, include_docs]
    digest = hashlib.sha256(json.dumps(request).encode()).hexdigest()
    with transaction.atomic():
        if idempotency_key and (earlier := _earlier(organisation_id, idempotency_key, digest)):
            return earlier
        generation = Generation(
            organisation_id=organisation_id,
            created_by=actor,
            title=title_of(prompt),
            prompt=prompt,
            language=known_language.name,
            model=choice.name,
            include_tests=include_tests,
            include_docs=include_docs,
        )
        generation.save(force_insert=True)
        run = queue.enqueue(
            KIND,
            organisation_id=organisation_id,
            created_by=actor,
            title=generation.title,
            payload={"generation_id": str(generation.pk), "request": digest},
            idempotency_key=idempotency_key,
        )
        generation.run = run
        generation.save(update_fields=["run"])
    return generation


def check_prompt(prompt: str) -> str:
    """The description without surrounding space.

    Raises:
        InvalidRequest: it is not text, or not 10 to 2,000 characters long.
    """
    stripped = prompt.strip()
    if not PROMPT_MIN <= len(stripped) <= PROMPT_MAX:
        message = f"Describe the application in {PROMPT_MIN} to {PROMPT_MAX:,} characters; this has {len(stripped):,}."
        raise InvalidRequest(message, errors={"prompt": [message]})
    if clean_text(stripped.replace("\r\n", "\n")) != stripped.replace("\r\n", "\n"):
        message = "The description contains control characters."
        raise InvalidRequest(message, errors={"prompt": [message]})
    return stripped


def title_of(prompt: str) -> str:
    """The first line of a description, as a title."""
    return shorten(prompt.strip().splitlines()[0].strip(), 80)


def _earlier(organisation_id: uuid.UUID, key: str, digest: str) -> Generation | None:
    run = Run.objects.filter(organisation_id=organisation_id, kind=KIND, idempotency_key=key).first()
    if run is None:
        return None
    if run.payload.get("request") != digest:
        raise Conflict("This Idempotency-Key was used for another request.")
    earlier: Generation = Generation.objects.get(pk=run.payload["generation_id"])
    return earlier


def generation_follow_run(run: Run) -> None:
    """Keeps a generation's status true to its run; called in the transaction that changes the run."""
    if run.state == RunState.SUCCEEDED:
        status, reason = run.result.get("status", GenerationStatus.UNVERIFIED), run.result.get("summary", "")
    else:
        status, reason = _STATUS_OF_RUN[RunState(run.state)], run.reason
    Generation.objects.filter(pk=run.payload["generation_id"]).update(status=status, reason=reason)


def generation_find(generation_id: uuid.UUID | str) -> Generation:
    """The generation with this id in the open scope.

    Raises:
        NotFound: it does not exist or belongs to another organisation; both look alike.
    """
    generation = Generation.objects.select_related("run", "best_attempt", "created_by").filter(pk=generation_id).first()
    if not isinstance(generation, Generation):
        raise NotFound("There is no such generation.")
    return generation


def generation_run(generation_id: uuid.UUID | str) -> Run:
    """The run of a generation.

    Raises:
        NotFound: the generation is not there, or its run was deleted.
    """
    run = generation_find(generation_id).run
    if run is None:
        raise NotFound("The run of this generation is gone.")
    return run


def generation_files(generation: Generation) -> list[GeneratedFile]:
    """The files of the best attempt, or of the latest one that has any."""
    if generation.best_attempt_id:
        return list(GeneratedFile.objects.filter(attempt_id=generation.best_attempt_id).order_by("path"))
    latest = generation.attempts.filter(files__isnull=False).order_by("-number").first()
    return list(latest.files.order_by("path")) if latest else []


def generation_archive(generation: Generation) -> bytes:
    """The files as a zip.

    Raises:
        NotFound: no attempt produced any file.
    """
    files = generation_files(generation)
    if not files:
        raise NotFound("This generation has no files.")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.writestr(file.path, file.content)
    return buffer.getvalue()


def endpoint_test(*, endpoint: ProviderEndpoint, actor: User) -> tuple[list[str], float]:
    """Asks a provider endpoint for its models: the ids and the seconds it took.

    Raises:
        ProviderError: with what really went wrong.
    """
    audit.record(actor=actor, action="provider_endpoint.test", target=endpoint)
    started = timezone.now()
    offered = asyncio.run(provider_for(from_row(endpoint)).list_models())
    return offered, (timezone.now() - started).total_seconds()
