"""Twenty secrets come in through the real doors; afterwards none of them is anywhere that somebody else reads.

Each may be told once, in the answer to whoever asked for it. It is in no other answer, no line of the log, no audit
entry, no message to a broker, and in no table as it is; processes in the sandbox do not have it.
"""

from __future__ import annotations

import io
import json
import logging
import re
from typing import Any
from urllib.parse import urlencode

import pyotp
import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.contrib import admin
from django.core import mail
from django.db import connection
from django.test import Client

from accounts.models import AuditEntry, OidcIdentity, User
from accounts.oidc.claims import Person
from accounts.services.identities import identity_note
from accounts.services.mail import mail_deliver
from aigen.models import ProviderEndpoint
from observability.logs import JsonFormatter
from runs.models import EventChunk
from tests.architecture.conftest import filled
from tests.architecture.routes import ADMIN, ROUTES
from tests.serving import PROC, Steward, Tree, wait_until

PASSWORD, WRONG_PASSWORD = "canary-password-7f3k9w2q", "canary-mistyped-password-8h2"
PASTED = "ghp_canary0123456789abcdefghijklmnopqrstuv"
CONFIGURED = {
    "secret key": "SECRET_KEY",
    "JWT secret": "JWT_SECRET",
    "mail password": "EMAIL_HOST_PASSWORD",
    "OIDC client secret": "OIDC_RP_CLIENT_SECRET",
    "provider key of the environment": "OPENAI_API_KEY",
}
KEPT_AS_IT_IS = {"session key", "pasted token"}
"""A session's row is found by its key. What people write into a prompt is theirs, and their organisation's."""


class World:
    """The site with somebody who uses it, every answer that they got, and the secrets that came up."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.client, self.pages = Client(), Client()
        self.token = ""
        self.answers: list[tuple[str, str]] = []
        self.secrets: dict[str, str] = {}
        self.told: dict[str, int] = {}

    def call(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> Any:
        """A call of the API with the access token, or another one."""
        bearer = self.token if token is None else token
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return self._note(
            path,
            self.client.generic(method, path, json.dumps(body or {}), content_type="application/json", headers=headers),
        )

    def open(self, path: str, form: dict[str, Any] | None = None, *, pages: Client | None = None) -> Any:
        """A page, or a form that is sent."""
        pages = pages or self.pages
        if form is None:
            return self._note(path, pages.get(path))
        return self._note(path, pages.post(path, urlencode(form), content_type="application/x-www-form-urlencoded"))

    def _note(self, path: str, answer: Any) -> Any:
        assert answer.status_code < 500, (path, answer.content)
        cookies = " ".join(morsel.OutputString() for morsel in answer.cookies.values())
        self.answers.append((path, b"".join(answer).decode(errors="replace") + str(dict(answer.headers)) + cookies))
        return answer

    def plant(self, name: str, value: str, *, told: bool = False) -> str:
        """Remembers a secret; `told` when the last answer is the one that may hold it."""
        assert len(value) >= 6, name
        self.secrets[name] = value
        if told:
            self.told[name] = len(self.answers) - 1
        return value


@pytest.fixture
def log():
    """What the whole process logs, as it is written in production, and also what is not written there."""
    stream, loggers = io.StringIO(), [logging.getLogger(), logging.getLogger("django.request")]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    before = [logger.level for logger in loggers]
    loggers[0].addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield stream
    loggers[0].removeHandler(handler)
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.fixture
def sent(monkeypatch, settings):
    """The arguments of every task that a broker is given."""
    from celery import current_app  # loads in 100 ms

    arguments: list[Any] = []
    settings.CELERY_BROKER_URL = "memory://"
    monkeypatch.setattr(current_app, "send_task", lambda name, args, **options: arguments.append((name, args)))
    return arguments


@pytest.fixture
def world(db, settings, administrator, monkeypatch, django_capture_on_commit_callbacks, log, sent):
    """Somebody signed up and did what there is to do; their secrets are planted."""
    for name in CONFIGURED.values():
        if name not in ("SECRET_KEY", "JWT_SECRET"):
            setattr(settings, name, f"canary-{name.lower().replace('_', '-')}-5d8f")
    settings.KEPT_ENCRYPTION_KEYS, settings.ENCRYPTION_KEYS = None, [Fernet.generate_key().decode()]
    monkeypatch.setitem(connection.settings_dict, "PASSWORD", connection.settings_dict["PASSWORD"] or "canary-database")
    here = World("rosa@rosa.example")
    for name, setting in CONFIGURED.items():
        here.plant(name, getattr(settings, setting))
    here.plant("encryption key", settings.ENCRYPTION_KEYS[0])
    here.plant("database password", connection.settings_dict["PASSWORD"])
    with django_capture_on_commit_callbacks(execute=True):
        for step in (sign_up, sign_in, forget_password, invite, hold_tokens, enrol, connect_provider, write_prompt):
            step(here)
        keep_provider_key(here, administrator)
        enable_second_factor(here)
        look_around(here, administrator)
    return here


# --- What people do -----------------------------------------------------------------------------------------------
def sign_up(here: World) -> None:
    here.plant("password", PASSWORD)
    here.plant("mistyped password", WRONG_PASSWORD)
    body = {"email": here.owner, "password": PASSWORD, "name": "Rosa", "organization": "Rosa's"}
    answer = here.call("POST", "/api/v1/auth/signup", body).json()
    here.token = here.plant("access token", answer["access"], told=True)
    here.plant("refresh token", answer["refresh"], told=True)


def sign_in(here: World) -> None:
    for body in (
        {"password": WRONG_PASSWORD},
        {"password": [PASSWORD]},
        {"password": PASSWORD, "otp": {"a": PASSWORD}},
    ):
        here.call("POST", "/api/v1/auth/login", {"email": here.owner, **body}, token="")
    here.call("POST", "/api/v1/auth/login", {"email": "not an address", "password": PASSWORD}, token="")
    here.open("/sign-in", {"email": here.owner, "password": WRONG_PASSWORD})
    assert here.open("/sign-in", {"email": here.owner, "password": PASSWORD}).status_code == 302
    here.plant("session key", here.pages.cookies[settings.SESSION_COOKIE_NAME].value, told=True)


def letter_link(pattern: str) -> str:
    """The token of the link in the last message; until it is sent, the message waits encrypted."""
    before = dump()
    mail_deliver()
    found = re.search(pattern, str(mail.outbox[-1].body))
    assert found is not None, mail.outbox[-1].body
    assert found[1] not in before
    return found[1]


def forget_password(here: World) -> None:
    here.call("POST", "/api/v1/auth/password/forgotten", {"email": here.owner}, token="")
    token = here.plant("reset link", letter_link(r"/password/reset/(\S+)"))
    here.call("POST", "/api/v1/auth/password/reset", {"token": token, "password": "short"}, token="")


def invite(here: World) -> None:
    organisation = here.call("GET", "/api/v1/organizations").json()["results"][0]["id"]
    path = f"/api/v1/organizations/{organisation}/invitations"
    assert here.call("POST", path, {"email": "guest@rosa.example", "role": "member"}).status_code == 201
    token = here.plant("invitation", letter_link(r"/invitations/(\S+)"))
    here.call("POST", "/api/v1/invitations/accept", {"token": token + "x"})


def hold_tokens(here: World) -> None:
    made = here.call("POST", "/api/v1/tokens", {"name": "Laptop", "scopes": ["read"]})
    token = here.plant("personal access token", found_in(made, r"stw_\w{40,}"), told=True)
    assert here.call("GET", "/api/v1/runs", token=token).status_code == 200
    here.call("POST", "/api/v1/tokens", {"name": "Laptop"}, token=token)
    begun = here.open("/api/v1/auth/device", {"client_id": "cli"}, pages=Client())
    here.plant("device code", begun.json()["device_code"], told=True)
    here.call("POST", "/api/v1/auth/refresh", {"refresh": here.secrets["refresh token"] + "x"}, token="")


def enrol(here: World) -> None:
    made = here.call("POST", "/api/v1/appliances", {"name": "Cellar"})
    code = here.plant("enrolment code", found_in(made, r"(?:[A-Z2-9]{4}-){4}[A-Z2-9]{4}"), told=True)
    enrolled = here.call("POST", "/api/v1/enroll", {"code": code}, token="")
    key = here.plant("device key", found_in(enrolled, r"steward-device-[\w-]{40,}"), told=True)
    here.call("POST", "/api/v1/heartbeat", {}, token=key)
    here.call("POST", "/api/v1/enroll", {"code": code}, token="")


def connect_provider(here: World) -> None:
    """What the callback stores once the provider vouched for somebody."""
    user = User.objects.get(email=here.owner)
    identity = OidcIdentity.objects.create(user=user, issuer="https://id.example", subject="rosa")
    person = Person(issuer="https://id.example", subject="rosa", email=here.owner, email_verified=True, name="Rosa")
    identity_note(
        identity=identity, person=person, refresh_token=here.plant("OIDC refresh token", "canary-oidc-9s8d7f")
    )


def write_prompt(here: World) -> None:
    here.plant("pasted token", PASTED)
    prompt = f"A function that posts to https://hooks.example/services with {PASTED} as its token"
    body = {"prompt": prompt, "programming_language": "python", "model": "builtin"}
    assert here.call("POST", "/api/v1/generate", body).status_code in (201, 202)


def keep_provider_key(here: World, administrator: Any) -> None:
    desk = Client()
    desk.force_login(administrator)
    key = here.plant("provider key", "sk-canary-provider-key-0a1b2c3d4e")
    form = {
        "name": "ours",
        "kind": "openai",
        "base_url": "",
        "default_model": "m",
        "models_offered": "",
        "enabled": "on",
    }
    here.open(f"/{ADMIN}aigen/providerendpoint/add/", {**form, "new_api_key": key}, pages=desk)
    endpoint = ProviderEndpoint.objects.get(name="ours")
    assert endpoint.api_key == key
    here.open(f"/{ADMIN}aigen/providerendpoint/{endpoint.pk}/change/", pages=desk)
    here.open(f"/{ADMIN}aigen/providerendpoint/{endpoint.pk}/history/", pages=desk)


def enable_second_factor(here: World) -> None:
    begun = here.call("POST", "/api/v1/users/me/second-factor").json()
    secret = here.plant("authenticator secret", begun["secret"], told=True)
    codes = here.call("POST", "/api/v1/users/me/second-factor/confirm", {"code": pyotp.TOTP(secret).now()}).json()
    here.plant("recovery code", codes["recovery_codes"][0], told=True)
    here.call("POST", "/api/v1/auth/login", {"email": here.owner, "password": PASSWORD}, token="")
    body = {"email": here.owner, "password": PASSWORD, "otp": codes["recovery_codes"][1]}
    here.call("POST", "/api/v1/auth/login", body, token="")


def look_around(here: World, administrator: Any) -> None:
    """Everything that can be looked at without an id, as the user and at the administrators' desk."""
    shown = 0
    for route in (route for route, entry in ROUTES.items() if "GET" in entry.uses and "<" not in route):
        answer = here.call("GET", f"/{route}") if route.startswith("api/") else here.open(f"/{route}")
        shown += answer.status_code == 200
    assert shown > 30
    desk = Client()
    desk.force_login(administrator)
    for model in admin.site._registry:
        here.open(f"/{ADMIN}{model._meta.app_label}/{model._meta.model_name}/", pages=desk)
    here.open(filled("nowhere/at/all", {}))


def found_in(answer: Any, pattern: str) -> str:
    found = re.search(pattern, answer.content.decode())
    assert found is not None, answer.content
    return found[0]


def dump() -> str:
    """Every row of every table."""
    text = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            text += [str(row) for row in cursor.fetchall()]
    return "\n".join(text)


# --- Where they are not -------------------------------------------------------------------------------------------
def test_each_secret_is_told_once_and_kept_nowhere(world, log, sent):
    assert len(world.secrets) >= 20, sorted(world.secrets)
    assert all(world.secrets[name] in world.answers[index][1] for name, index in world.told.items())
    assert PASTED in dump(), "the dump shows what is there"
    assert "/api/v1/auth/login" in log.getvalue()
    assert in_answers(world) == []
    assert held_in(log.getvalue(), world, set()) == []
    assert held_in(dump(), world, KEPT_AS_IT_IS) == []
    told = [str(entry) for entry in AuditEntry.objects.values()]
    assert len(told) > 5 and held_in("\n".join(told), world, set()) == []
    events = "\n".join(EventChunk.objects.values_list("body", flat=True))
    assert held_in(events, world, set()) == []
    assert sent and all(
        name == "runs.execute" and re.fullmatch(r"\['[0-9a-f-]{36}'\]", str(args)) for name, args in sent
    )


def in_answers(world: World) -> list[tuple[str, str]]:
    """Secrets in answers other than the one that may tell them; what one wrote into a prompt one reads again."""
    return [
        (name, path)
        for name, value in world.secrets.items()
        if name != "pasted token"
        for index, (path, text) in enumerate(world.answers)
        if value in text.replace(path, "") and index != world.told.get(name)
    ]


def held_in(text: str, world: World, passed: set[str]) -> list[str]:
    return [name for name, value in world.secrets.items() if value in text and name not in passed]


@pytest.mark.slow
@pytest.mark.needs("sandbox")
def test_programs_in_the_sandbox_are_given_no_secret(tmp_path):
    """Looks at the command line and environment of every process below Steward while generated tests run."""
    secrets = {
        "SECRET_KEY": "canary-secret-key-" + "0123456789abcdef" * 3,
        "JWT_SECRET": "canary-jwt-secret-" + "fedcba9876543210" * 3,
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "OPENAI_API_KEY": "canary-openai-key-123456",
        "EMAIL_URL": f"filemail://canary-mail:canary-password@/{tmp_path / 'mail'}",
    }
    steward = Steward(tmp_path / "var", **secrets).start()
    try:
        steward.sign_in()
        asked = steward.generate(prompt="a to-do list API with title, due date and done flag", model="builtin")
        seen, held = set(), []

        def look() -> bool:
            for pid in Tree(steward.pid).members:
                held.extend(
                    (pid, name) for name, text in told_to(pid) if any(part in text for part in secrets.values())
                )
                seen.add(command_of(pid))
            return bool(steward.get(f"/api/v1/runs/{asked['run_id']}")["state"] == "succeeded")

        wait_until(look, 120, "the generation to end")
        in_sandbox = [command for command in seen if "bwrap" in command or "unittest" in command]
        assert in_sandbox, seen
        assert held == []
    finally:
        steward.close()


def told_to(pid: int) -> list[tuple[str, str]]:
    """The command line and the environment of a process, empty for one that is gone."""
    return [(name, _read(pid, name)) for name in ("cmdline", "environ")]


def command_of(pid: int) -> str:
    return _read(pid, "cmdline").replace("\0", " ")


def _read(pid: int, name: str) -> str:
    try:
        return (PROC / str(pid) / name).read_bytes().decode(errors="replace")
    except OSError:
        return ""
