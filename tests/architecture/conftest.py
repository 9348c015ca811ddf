"""One of everything that acme owns, and the people who ask for it."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken

from accounts.credentials import SCOPES
from accounts.services.families import tokens_issue, tokens_revoke
from accounts.services.tokens import token_create, token_revoke
from accounts.tenancy import all_organisations

UNKNOWN = "01890000-0000-7000-8000-000000000000"
CHANGING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{16}\b|nonce=\"[^\"]*\"|\b\w{64}\b|\d{4}-\d\d-\d\dT[\d:.]+Z?"
)
"""Ids, request ids, nonces, CSRF tokens and times."""
ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>[^)]*\)")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch, settings):
    """A generation is asked for and not waited for; nothing is limited, as one test asks a thousand times."""
    monkeypatch.setattr("aigen.api.WAIT_SECONDS", 0)
    settings.RATELIMIT_ENABLE = False


@pytest.fixture
def member(acme):
    """A member of acme, neither its owner nor a viewer."""
    return make_person("mia@acme.example", acme, "member")


@pytest.fixture
def organisation_administrator(acme):
    """Somebody who manages acme without owning it."""
    return make_person("oda@acme.example", acme, "administrator")


def make_person(email: str, organisation: Any, role: str) -> Any:
    from accounts.models import Membership, User

    user = User.objects.create_user(email, "correct horse battery staple", name=email.split("@")[0].title())
    Membership.objects.create(user=user, organisation=organisation, role=role)
    return user


@pytest.fixture
def world(acme, alice):
    """The ids of one of everything in acme, by the names that routes use; all work in it has ended."""
    with all_organisations():
        return {"organisation_id": str(acme.pk), **make_world(acme, alice)}


def make_world(organisation: Any, person: Any) -> dict[str, str]:
    generation = make_generation(organisation, person)
    app, deployment = make_deployment(organisation, person, generation)
    return {
        "run_id": str(generation.run_id),
        "generation_id": str(generation.pk),
        "conversation_id": str(make_conversation(organisation, person).pk),
        "app_id": str(app.pk),
        "deployment_id": str(deployment.pk),
        "appliance_id": str(make_appliance(organisation, person).pk),
        "token_id": str(token_create(user=person, name="Laptop")[0].pk),
        "membership_id": str(make_member(organisation).pk),
        "invitation_id": str(make_invitation(organisation, person).pk),
    }


def make_member(organisation: Any) -> Any:
    return make_person(f"{uuid.uuid4().hex[:8]}@acme.example", organisation, "member").memberships.get()


def make_invitation(organisation: Any, person: Any) -> Any:
    from accounts.models import Invitation

    return Invitation.objects.create(
        organisation=organisation,
        email=f"{uuid.uuid4().hex[:8]}@elsewhere.example",
        digest=uuid.uuid4().hex * 2,
        invited_by=person,
        expires_at=timezone.now() + timedelta(days=7),
    )


def make_run(organisation: Any, kind: str, payload: dict[str, str]) -> Any:
    from runs.models import Run

    return Run.objects.create(organisation=organisation, kind=kind, title="Work", payload=payload, state="failed")


def make_generation(organisation: Any, person: Any) -> Any:
    from aigen.models import Attempt, GeneratedFile, Generation

    generation = Generation.objects.create(
        organisation=organisation,
        created_by=person,
        title="Counter",
        prompt="Count visits, please",
        language="python",
        model="builtin",
        status="ready",
    )
    attempt = Attempt.objects.create(organisation=organisation, generation=generation, number=1, verdict="passed")
    for path, content in {"server.py": "print(1)\n", "Procfile": "web: python server.py\n"}.items():
        GeneratedFile.objects.create(
            organisation=organisation, attempt=attempt, path=path, content=content, size=len(content)
        )
    generation.best_attempt = attempt
    generation.run = make_run(organisation, "aigen.generate", {"generation_id": str(generation.pk)})
    generation.save()
    return generation


def make_deployment(organisation: Any, person: Any, generation: Any) -> tuple[Any, Any]:
    from deployments.models import App, Deployment, Release

    name = f"Counter {uuid.uuid4().hex[:6]}"
    app = App.objects.create(organisation=organisation, name=name, slug=name.lower().replace(" ", "-"))
    release = Release.objects.create(
        organisation=organisation,
        app=app,
        number=1,
        generation=generation,
        command=["python", "server.py"],
        archive=b"PK",
        archive_sha256="0" * 64,
    )
    deployment = Deployment.objects.create(
        organisation=organisation, app=app, release=release, status="stopped", created_by=person
    )
    deployment.run = make_run(organisation, "deployments.serve", {"deployment_id": str(deployment.pk)})
    deployment.save()
    return app, deployment


def make_conversation(organisation: Any, person: Any) -> Any:
    from conversations.models import Conversation, Message

    conversation = Conversation.objects.create(
        organisation=organisation, created_by=person, title="Talk", model="builtin"
    )
    Message.objects.create(organisation=organisation, conversation=conversation, role="user", content="Hello")
    return conversation


def make_appliance(organisation: Any, person: Any) -> Any:
    from appliances.models import Appliance

    return Appliance.objects.create(organisation=organisation, name=f"Cellar {uuid.uuid4().hex[:6]}", created_by=person)


# --- Who asks -----------------------------------------------------------------------------------------------------
def bearing(token: str) -> Client:
    return Client(raise_request_exception=False, headers={"Authorization": f"Bearer {token}"})


def with_token(user: Any) -> Client:
    return bearing(tokens_issue(user=user)["access"])


def expired_token(user: Any) -> str:
    token = AccessToken(tokens_issue(user=user)["access"])
    token.set_exp(lifetime=-timedelta(minutes=1))
    return str(token)


def revoked_token(user: Any) -> str:
    """An access token that has not expired, of a token family that was ended."""
    tokens = tokens_issue(user=user)
    tokens_revoke(tokens["refresh"])
    return tokens["access"]


def personal_token(user: Any) -> str:
    """A personal access token that may do whatever its user may."""
    return token_create(user=user, name="Program", scopes=list(SCOPES))[1]


def revoked_personal_token(user: Any) -> str:
    token, raw = token_create(user=user, name="Program", scopes=list(SCOPES))
    token_revoke(token=token, actor=user)
    return raw


def device_key(user: Any) -> str:
    """The key of an appliance of the user's organisation."""
    from appliances.models import Appliance
    from appliances.secrets import key_hash, new_key

    key = new_key()
    with all_organisations():
        Appliance.objects.create(
            organisation=user.organisations.get(), name=f"Attic {uuid.uuid4().hex[:6]}", key_hash=key_hash(key)
        )
    return key


def signed_in(user: Any) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def anonymous() -> Client:
    return Client(raise_request_exception=False)


# --- What they ask ------------------------------------------------------------------------------------------------
def filled(route: str, ids: dict[str, str]) -> str:
    """The path of a route with `ids` for its arguments."""
    route = route.replace("(?P<url>.*)$", "nowhere").replace("^", "").replace("/$", "/").replace("$", "")
    return "/" + ARGUMENT.sub(lambda found: ids.get(found[1] or found[2], "runs" if found[2] else UNKNOWN), route)


def has_id(route: str) -> bool:
    return "<uuid:" in route


@contextmanager
def undone() -> Iterator[None]:
    """What is done inside leaves no rows: the next one asks of the same world."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def ask(
    client: Client, method: str, path: str, body: dict[str, Any] | None, ids: dict[str, str], **headers: str
) -> Any:
    """Sends a request; `{name}` in the body's values stands for an id. JSON for the API, a form for pages."""
    values = {name: value.format(**ids) if isinstance(value, str) else value for name, value in (body or {}).items()}
    if method == "GET":
        return client.get(path, headers=headers)
    if path.startswith("/api/"):
        return client.generic(method, path, json.dumps(values), content_type="application/json", headers=headers)
    return client.generic(
        method,
        path,
        "&".join(f"{name}={value}" for name, value in values.items()),
        content_type="application/x-www-form-urlencoded",
        headers=headers,
    )


def told(answer: Any) -> tuple[int, str]:
    """The status of an answer and what it says, without what is new in every answer or repeats the question."""
    if answer.streaming:
        return answer.status_code, "a stream"
    text = answer.content.decode(errors="replace")
    if answer.headers.get("Content-Type", "").startswith("application/json"):
        body = json.loads(text)
        return answer.status_code, str({name: body.get(name) for name in ("error", "detail", "errors")})
    return answer.status_code, CHANGING.sub("…", text + answer.headers.get("Location", ""))
