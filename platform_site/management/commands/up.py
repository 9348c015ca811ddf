"""`manage.py up`: everything in one process. Database, first administrator, pages, API, sockets and the worker."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
import warnings
from pathlib import Path
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.services.accounts import administrator_ensure
from platform_site.lib import sandbox
from platform_site.lib.server import server_config
from runs import hints
from runs.tail import end_streams
from runs.worker import InProcessWorker

GRACE_SECONDS = 3
BACKLOG = 2048
DEFAULT_SITE_URL = "http://127.0.0.1:8000"
"""What links in messages begin with unless it is configured; here the port is known."""


class Server(uvicorn.Server):
    """Sends viewers and waiting callers away when it ends, instead of waiting for them to leave."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        hints.closing.set()
        end_streams()
        await super().shutdown(sockets)


class Command(BaseCommand):
    help = "Prepares the database and serves Steward with its worker in this process. Ctrl-C ends it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=os.environ.get("HOST", "127.0.0.1"))
        parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "8000")))
        parser.add_argument("--no-worker", action="store_true", help="Serve only; workers run elsewhere (Celery).")

    def handle(self, *args: Any, **options: Any) -> None:
        listener = self._listen(options["host"], options["port"])
        settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # and the data folder above it
        self._prepare_mail(options["host"], listener.getsockname()[1])
        call_command("migrate", interactive=False, verbosity=0)
        self._ensure_administrator()
        self._say_sandbox()
        # uvicorn raises the signal that ended it once more; with this handler SIGTERM means what Ctrl-C means.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        worker = None if options["no_worker"] or settings.CELERY_BROKER_URL else InProcessWorker()
        if worker is not None:
            worker.start()
        self.stdout.write(f"Steward is ready: http://{options['host']}:{listener.getsockname()[1]}/  (Ctrl-C ends it)")
        self.stdout.flush()
        try:
            self._serve(listener)
        except KeyboardInterrupt:
            pass  # uvicorn raises the signal again once it has ended cleanly
        finally:
            if worker is not None:
                self.stdout.write("Stopping: what runs is handed back and goes on after the next start.")
                worker.stop()
        self.stdout.write("Stopped.")

    def _listen(self, host: str, port: int) -> socket.socket:
        """Takes the port before anything else: a second start on it must not touch the first one's work."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # With the protocol named, asyncio sets TCP_NODELAY on what it accepts; without, kept connections wait 40 ms.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(
                BACKLOG
            )  # from here on callers wait instead of being refused, and nobody else gets the port
        except OSError as exc:
            raise CommandError(f"Port {port} on {host} cannot be used: {exc.strerror}. Choose one with PORT=.") from exc
        return listener

    def _prepare_mail(self, host: str, port: int) -> None:
        if settings.EMAIL_FILE_PATH:  # messages hold links that open accounts
            Path(settings.EMAIL_FILE_PATH).mkdir(parents=True, exist_ok=True, mode=0o700)
        if settings.SITE_URL == DEFAULT_SITE_URL and host in ("127.0.0.1", "localhost"):
            settings.SITE_URL = f"http://{host}:{port}"

    def _ensure_administrator(self) -> None:
        password = secrets.token_urlsafe(15)
        administrator, created = administrator_ensure(email=settings.FIRST_ADMINISTRATOR_EMAIL, password=password)
        if created:
            self.stdout.write(f"First administrator: {administrator.email}")
            self.stdout.write(f"Password, shown only this once: {password}")

    def _say_sandbox(self) -> None:
        # Asked aside, so that the first start does not wait for it.
        def say() -> None:
            state = sandbox.availability()
            if not state.ok or not state.confined:
                self.stderr.write(f"Sandbox: {state.detail}")

        threading.Thread(target=say, name="sandbox-check", daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        # WhiteNoise reads static files synchronously; they are small and cached by browsers.
        warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")
        Server(server_config(grace_seconds=GRACE_SECONDS)).run(sockets=[listener])
