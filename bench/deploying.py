"""From asking for a deployment to the application's first HTTP answer."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import httpx

from bench.figures import Figure
from bench.installation import Installation

TIMES = 3
PROMPT = "a to-do list API with title, due date and done flag"


def measure(installation: Installation) -> Iterator[Figure]:
    body = {"prompt": PROMPT, "programming_language": "python", "model": "builtin"}
    began = time.monotonic()
    generation = installation.api.post("/api/v1/generate", body)
    if generation["status"] != "ready":
        raise RuntimeError(f"the generation is {generation['status']}: {generation['reason']}")
    yield Figure("Prompt to tested application, builtin", time.monotonic() - began, "s", "POST /api/v1/generate, once")
    seconds = [_deploy(installation, generation["id"], number) for number in range(TIMES)]
    how = f"POST /api/v1/deployments to the application's own answer, median of {TIMES}, Python"
    yield Figure("Deploy to first HTTP answer, builtin", statistics.median(seconds), "s", how)


def _deploy(installation: Installation, generation_id: str, number: int) -> float:
    began = time.monotonic()
    body = {"generation_id": generation_id, "name": f"Bench {number}"}
    links = installation.api.post("/api/v1/deployments", body)["links"]
    while not (deployment := installation.api.get(links["self"]))["url"]:
        if deployment["status"] in ("failed", "stopped", "interrupted") or time.monotonic() - began > 60:
            raise RuntimeError(f"the deployment is {deployment['status']}: {deployment['reason']}")
        time.sleep(0.02)
    httpx.get(deployment["url"], trust_env=False).raise_for_status()
    seconds = time.monotonic() - began
    installation.api.post(links["stop"])
    return seconds
