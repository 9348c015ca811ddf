"""One embedded installation that the benchmarks share, and how they reach it."""

from __future__ import annotations

import time
import uuid
from typing import Any

from accounts.tenancy import all_organisations
from platform_site.demo.client import Api
from runs import queue
from runs.models import TERMINAL_STATES, Run

ACCOUNT = {
    "email": "bench@example.org",
    "password": "a long bench passphrase",
    "name": "Bench",
    "organization": "Bench",
}


class Installation:
    """A running server with an account. Runs are enqueued through its database, everything else over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.api = Api(url)
        answer = self.api.post("/api/v1/auth/signup", ACCOUNT)
        self.token: str = answer["access"]
        self.api.sign_in(self.token)
        self.organisation_id = uuid.UUID(answer["organization"]["id"])

    def enqueue(self, kind: str, **payload: Any) -> uuid.UUID:
        return uuid.UUID(str(queue.enqueue(kind, organisation_id=self.organisation_id, payload=payload).pk))

    def result_of(self, run_id: uuid.UUID, *, seconds: float) -> dict[str, Any]:
        """What a run answered; TimeoutError or RuntimeError when it did not end well."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with all_organisations():
                run = Run.objects.get(pk=run_id)
            if run.state in TERMINAL_STATES:
                if run.state != "succeeded":
                    raise RuntimeError(f"{run.kind} is {run.state}: {run.reason}")
                result: dict[str, Any] = run.result
                return result
            time.sleep(0.1)
        raise TimeoutError(f"run {run_id} did not end within {seconds} seconds")
