"""A Steward process of its own for `test_kill`: `python -m deployments.tests.steward_process [slow|quick]`.

It runs the worker until it is killed; with an argument it first deploys an application. All data is in STEWARD_VAR_DIR.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "platform_site.settings"
django.setup()

from django.core.management import call_command  # noqa: E402 - Django must be set up first

from accounts.models import Membership, Organisation, User  # noqa: E402
from accounts.tenancy import organisation_scope  # noqa: E402
from aigen.models import Attempt, GeneratedFile, Generation  # noqa: E402
from deployments.services import deployment_create  # noqa: E402
from deployments.tests.conftest import PROCFILE, SERVER  # noqa: E402
from runs.worker import InProcessWorker  # noqa: E402


def deploy(server: str) -> None:
    acme = Organisation.objects.create(name="Acme", slug="acme")
    alice = User.objects.create_user("alice@acme.example", None)
    Membership.objects.create(user=alice, organisation=acme, role="owner")
    with organisation_scope(acme.pk):
        generation = Generation.objects.create(organisation=acme, title="Counter", prompt="Count", status="ready")
        attempt = Attempt.objects.create(organisation=acme, generation=generation, number=1)
        for path, content in {"server.py": server, "Procfile": PROCFILE}.items():
            GeneratedFile.objects.create(organisation=acme, attempt=attempt, path=path, content=content, size=1)
        generation.best_attempt = attempt
        generation.save()
        deployment_create(generation=generation, actor=alice, name="Counter")


def main() -> None:
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    call_command("migrate", verbosity=0)
    worker = InProcessWorker()
    worker.start()
    if len(sys.argv) > 1:
        slow = "import time\ntime.sleep(2)\n" if sys.argv[1] == "slow" else ""
        deploy(slow + SERVER)
    stopped.wait()
    worker.stop()


if __name__ == "__main__":
    main()
