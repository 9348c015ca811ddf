"""What people can do with apps and deployments."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
import uuid

from django.db import IntegrityError, transaction
from django.db.models import F, Max
from django.utils.text import slugify

from accounts import audit
from accounts.models import User
from accounts.permissions import OPERATE, require
from aigen.languages import web_command
from aigen.models import Generation, GenerationStatus
from deployments.models import ENDED_STATUSES, App, Deployment, DeploymentStatus, Release
from deployments.releases import digest, pack
from deployments.targets import target_get
from platform_site.lib.errors import Conflict, InvalidRequest, NotFound
from runs import queue
from runs.models import Run

KIND = "deployments.serve"
MAX_NAME = 80
_NAME = re.compile(r"[^\W_](?:[\w .,'&()+-]*[\w.)+])?")


# --- Finding ------------------------------------------------------------------------------------------------------
def app_find(app_id: uuid.UUID | str) -> App:
    """The app with this id in the open scope.

    Raises:
        NotFound: it does not exist or belongs to another organisation; both look alike.
    """
    app = App.objects.filter(pk=app_id).first()
    if not isinstance(app, App):
        raise NotFound("There is no such application.")
    return app


def deployment_find(deployment_id: uuid.UUID | str) -> Deployment:
    """The deployment with this id in the open scope.

    Raises:
        NotFound: it does not exist or belongs to another organisation; both look alike.
    """
    deployment = Deployment.objects.detailed().filter(pk=deployment_id).first()
    if not isinstance(deployment, Deployment):
        raise NotFound("There is no such deployment.")
    return deployment


def deployable_find(generation_id: uuid.UUID | str) -> Generation:
    """The generation with this id in the open scope, to be deployed.

    Raises:
        NotFound: it does not exist or belongs to another organisation; both look alike.
    """
    generation = Generation.objects.select_related("best_attempt").filter(pk=generation_id).first()
    if not isinstance(generation, Generation):
        raise NotFound("There is no such generation.")
    return generation


# --- Deploying ----------------------------------------------------------------------------------------------------
@transaction.atomic
def deployment_create(
    *,
    generation: Generation,
    actor: User,
    name: str,
    target: str = "process",
    accept_unverified: bool = False,
    idempotency_key: str | None = None,
) -> Deployment:
    """Makes a release of the generation's best files and queues its deployment.

    A name whose slug the organisation already uses means a new release of that app. The same idempotency key answers
    the deployment it made before.

    Raises:
        InvalidRequest: the name or target is not valid, or the files are not a web application.
        Conflict: the generation is not ready, or the key was used for another request.
    """
    require(actor, OPERATE, generation)
    name = check_name(name)
    target_get(target)
    request = _digest_of(str(generation.pk), name, target)
    if idempotency_key and (earlier := _earlier(generation.organisation_id, idempotency_key, request)):
        return earlier
    _check_ready(generation, accept_unverified=accept_unverified)
    app = _app_locked(generation, name=name, actor=actor)
    if idempotency_key and (earlier := _earlier(generation.organisation_id, idempotency_key, request)):
        return earlier  # the same request at the same time was faster to the lock
    release = _release_create(app, generation, actor=actor)
    return _deploy(release, target=target, actor=actor, request=request, idempotency_key=idempotency_key)


def check_name(name: str) -> str:
    """The name in its normal form.

    Raises:
        InvalidRequest: it is not 1 to 80 characters long or holds something else than words.
    """
    normal = unicodedata.normalize("NFC", name.strip(" "))
    if not 1 <= len(normal) <= MAX_NAME:
        problem = f"The name of an application has 1 to {MAX_NAME} characters."
    elif not _NAME.fullmatch(normal):
        problem = (
            "The name of an application begins with a letter or digit and holds letters, digits, spaces and .,'&()+-"
        )
    else:
        return normal
    raise InvalidRequest(problem, errors={"name": [problem]})


def slug_of(name: str) -> str:
    """The slug of a checked name; a name without Latin letters and digits gets one made from its characters."""
    folded = name.casefold().encode()
    return slugify(name)[:MAX_NAME] or f"app-{hashlib.sha256(folded).hexdigest()[:10]}"


def _digest_of(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _earlier(organisation_id: uuid.UUID, key: str, request: str) -> Deployment | None:
    run = Run.objects.filter(organisation_id=organisation_id, kind=KIND, idempotency_key=key).first()
    if run is None:
        return None
    if run.payload.get("request") != request:
        raise Conflict("This Idempotency-Key was used for another request.")
    return deployment_find(run.payload["deployment_id"])


def _check_ready(generation: Generation, *, accept_unverified: bool) -> None:
    if generation.status == GenerationStatus.READY:
        return
    if generation.status != GenerationStatus.UNVERIFIED:
        raise Conflict(f"Only a generation that is ready can be deployed; this one is {generation.status}.")
    if not accept_unverified:
        raise Conflict("This generation is unverified. Accept that explicitly to deploy it all the same.")


def _app_locked(generation: Generation, *, name: str, actor: User) -> App:
    """The organisation's app of that name, made if it is new, locked so that its releases are numbered one by one."""
    app, created = App.objects.get_or_create(
        organisation_id=generation.organisation_id,
        slug=slug_of(name),
        defaults={"name": name, "created_by": actor},
    )
    if created:
        audit.record(actor=actor, action="app.create", target=app)
    locked: App = App.objects.select_for_update().get(pk=app.pk)
    return locked


def _release_create(app: App, generation: Generation, *, actor: User) -> Release:
    attempt = generation.best_attempt
    files = {file.path: file.content for file in attempt.files.all()} if attempt else {}
    command = web_command(files)
    if command is None:
        raise InvalidRequest(
            "This is not a web application: command-line tools and functions cannot be deployed. "
            "A web application has a Procfile with a `web:` line, or an index.html.",
            errors={"generation_id": ["Not a web application."]},
        )
    archive = pack(files)
    last = Release.objects.filter(app=app).aggregate(last=Max("number"))["last"] or 0
    release = Release(
        organisation_id=app.organisation_id,
        app=app,
        number=last + 1,
        generation=generation,
        language=generation.language,
        command=command,
        archive=archive,
        archive_sha256=digest(archive),
        created_by=actor,
    )
    release.save(force_insert=True)
    return release


def _deploy(
    release: Release,
    *,
    target: str,
    actor: User,
    before: Release | None = None,
    request: str = "",
    idempotency_key: str | None = None,
) -> Deployment:
    deployment = Deployment(
        organisation_id=release.organisation_id, app=release.app, release=release, target=target, created_by=actor
    )
    deployment.save(force_insert=True)
    try:
        deployment.run = queue.enqueue(
            KIND,
            organisation_id=release.organisation_id,
            created_by=actor,
            title=f"{release.app.name}, release {release.number}",
            payload={"deployment_id": str(deployment.pk), "request": request},
            idempotency_key=idempotency_key,
        )
    except IntegrityError as exc:  # another app was deployed with the same key at the same time
        raise Conflict("This Idempotency-Key was used for another request.") from exc
    deployment.save(update_fields=["run"])
    changes = {"release": [before.number if before else "", release.number]}
    action = "deployment.rollback" if before else "deployment.create"
    audit.record(actor=actor, action=action, target=deployment, changes=changes)
    return deployment


# --- Ending and starting again ------------------------------------------------------------------------------------
@transaction.atomic
def deployment_stop(*, deployment: Deployment, actor: User) -> Deployment:
    """Asks for the end of a deployment, live or not; asking again changes nothing. Data and log are kept.

    Raises:
        Conflict: it has ended.
    """
    require(actor, OPERATE, deployment)
    return _end(deployment, actor=actor, action="deployment.stop", reason=f"Stopped by {actor}.")


@transaction.atomic
def deployment_cancel(*, deployment: Deployment, actor: User) -> Deployment:
    """Asks for the end of a deployment that is not live yet. What was live before stays live.

    Raises:
        Conflict: it is live, or has ended.
    """
    require(actor, OPERATE, deployment)
    if deployment.can_stop:
        raise Conflict("This deployment is live. Stop it instead.")
    return _end(deployment, actor=actor, action="deployment.cancel", reason=f"Cancelled by {actor}.")


def _end(deployment: Deployment, *, actor: User, action: str, reason: str) -> Deployment:
    if deployment.is_ended or deployment.run_id is None:
        raise Conflict(f"This deployment has already ended: it is {deployment.get_status_display().lower()}.")
    if deployment.status != DeploymentStatus.STOPPING:
        changes = {"status": [str(deployment.status), str(DeploymentStatus.STOPPING)]}
        audit.record(actor=actor, action=action, target=deployment, changes=changes)
        queue.request_cancel(deployment.run_id)
        row = Deployment.objects.filter(pk=deployment.pk)
        row.exclude(status__in=ENDED_STATUSES).update(status=DeploymentStatus.STOPPING, reason=reason)
    return deployment_find(deployment.pk)


@transaction.atomic
def deployment_restart(*, deployment: Deployment, actor: User) -> Deployment:
    """Starts a live application anew, or an ended deployment again, on the same address with the same data.

    Raises:
        Conflict: it is under way, or a newer deployment of the app is.
    """
    require(actor, OPERATE, deployment)
    if not deployment.can_restart or deployment.run_id is None:
        raise Conflict(f"This deployment is {deployment.get_status_display().lower()}; wait until it is live or ended.")
    changes = {"status": [str(deployment.status), "restarted"]}
    audit.record(actor=actor, action="deployment.restart", target=deployment, changes=changes)
    if deployment.status == DeploymentStatus.LIVE:
        Deployment.objects.filter(pk=deployment.pk).update(restart_requests=F("restart_requests") + 1)
        return deployment_find(deployment.pk)
    newer = Deployment.objects.active().filter(app_id=deployment.app_id, pk__gt=deployment.pk)
    if newer.exists():
        raise Conflict("A newer deployment of this application is active. Roll back to return to an older release.")
    queue.retry(deployment.run_id)
    return deployment_find(deployment.pk)


@transaction.atomic
def deployment_rollback(*, deployment: Deployment, actor: User) -> Deployment:
    """Deploys the release before this deployment's once more, as a new deployment.

    Raises:
        Conflict: there is no earlier release that was live.
    """
    require(actor, OPERATE, deployment)
    app = App.objects.select_for_update().get(pk=deployment.app_id)
    number = deployment.release.number
    earlier = Release.objects.filter(app=app, number__lt=number, deployments__address__gt="")
    release = earlier.select_related("app").defer("archive").order_by("-number").first()
    if release is None:
        raise Conflict("There is no earlier release of this application that was live.")
    return _deploy(release, target=deployment.target, actor=actor, before=deployment.release)
