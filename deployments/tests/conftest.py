"""A small web application, and what tests do with it."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest
from asgiref.sync import async_to_sync

from accounts.tenancy import all_organisations, organisation_scope
from deployments import services
from deployments.models import Deployment
from tests.services import require_sandbox

SERVER = """
import http.server, json, os, pathlib, sys

VERSION = "one"
COUNT = pathlib.Path(os.environ["DATA_DIR"], "count")

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            print("going down now", flush=True)
            os._exit(3)
        if self.path == "/count":
            COUNT.write_text(str(int(COUNT.read_text() or 0) + 1 if COUNT.exists() else 1))
        body = {"/": VERSION, "/env": json.dumps(dict(os.environ)), "/pid": str(os.getpid())}
        answer = body.get(self.path) or (COUNT.read_text() if COUNT.exists() else "0")
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

print("version", VERSION, "listens", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
PROCFILE = "web: python server.py\n"


def wait_until(condition: Callable[[], object], seconds: float = 20.0, what: str = "it to happen"):
    """The first true answer of `condition`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s for {what}")


def reload(deployment: Deployment) -> Deployment:
    with all_organisations():
        return services.deployment_find(deployment.pk)


def wait_for(deployment: Deployment, status: str, seconds: float = 20.0) -> Deployment:
    """The deployment once it has `status`."""
    found = {}

    def reached() -> bool:
        found["now"] = reload(deployment)
        return found["now"].status == status

    try:
        wait_until(reached, seconds)
    except AssertionError:
        now = found["now"]
        raise AssertionError(f"{now.status} ({now.reason}) instead of {status}\n{log_of(now)}") from None
    return found["now"]


def log_of(deployment) -> str:
    from runs.events import events_page

    events, _ = events_page(deployment.run_id, 0, limit=1000)
    return "\n".join(f"{event['kind']}/{event['stream']}: {event['text']}" for event in events)


def get(deployment: Deployment, path: str = "") -> str:
    return httpx.get(deployment.url + path, timeout=5, trust_env=False).text


def body_of(answer) -> str:
    """What a streaming answer sends, to its end."""

    async def collect() -> bytes:
        return b"".join([part async for part in answer.streaming_content])

    return async_to_sync(collect)().decode()


def is_refused(deployment: Deployment) -> bool:
    """Whether nothing listens where the deployment was."""
    try:
        httpx.get(f"http://{deployment.address}:{deployment.port}/", timeout=2, trust_env=False)
    except httpx.ConnectError:
        return True
    return False


@pytest.fixture
def generation(acme, alice):
    """Makes generations of acme that are ready; named arguments replace files."""
    from aigen.models import Attempt, GeneratedFile, Generation

    def make(*, organisation=acme, status: str = "ready", files: dict[str, str] | None = None, version: str = "one"):
        contents = files or {"server.py": SERVER.replace('"one"', f'"{version}"'), "Procfile": PROCFILE}
        with all_organisations():
            made = Generation.objects.create(
                organisation=organisation, title="Counter", prompt="Count visits", language="python", model="test",
                status=status, created_by=alice,
            )  # fmt: skip
            attempt = Attempt.objects.create(organisation=organisation, generation=made, number=1)
            for path, content in contents.items():
                GeneratedFile.objects.create(
                    organisation=organisation, attempt=attempt, path=path, content=content, size=len(content)
                )
            made.best_attempt = attempt
            made.save()
        return made

    return make


@pytest.fixture
def deploy(acme, alice):
    """Deploys a generation through the service, as alice."""

    def deploy_it(generation, *, name: str = "Counter", **options) -> Deployment:
        with organisation_scope(acme.pk):
            return services.deployment_create(generation=generation, actor=alice, name=name, **options)

    return deploy_it


@pytest.fixture
def ask(acme, alice):
    """Calls a deployment service as alice."""

    def call(service, deployment: Deployment) -> Deployment:
        with organisation_scope(acme.pk):
            return service(deployment=reload(deployment), actor=alice)

    return call


@pytest.fixture
def live(worker, generation, deploy) -> Deployment:
    """The counter, deployed and answering."""
    require_sandbox()
    return wait_for(deploy(generation()), "live")
