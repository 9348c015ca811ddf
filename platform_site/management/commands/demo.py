"""`manage.py demo`: the main job in the terminal, checked at every step."""

from __future__ import annotations

import signal
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from platform_site.demo.failure import StepFailed
from platform_site.demo.terminal import Terminal
from platform_site.demo.walk import Walk, Wish

PROMPT = "a to-do list API with title, due date and done flag"


class Command(BaseCommand):
    help = "Walks the main job against a server of its own; exits 0 only if every step really happened."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--prompt", default=PROMPT, help="what to build, 10 to 2,000 characters")
        parser.add_argument("--language", default="python", help="python (default), javascript, html …")
        parser.add_argument("--model", default="", help="a configured model; by default the first one")

    def handle(self, *args: Any, **options: Any) -> None:
        terminal = Terminal.on(sys.stdout)
        walk = Walk(Wish(options["prompt"], options["language"], options["model"]), terminal)
        signal.signal(signal.SIGTERM, _as_interrupt)
        code = 0
        try:
            walk.walk()
        except StepFailed as exc:
            terminal.heading(f"FAILED at “{walk.step}”: {exc}")
            code = 1
        except KeyboardInterrupt:
            terminal.heading(f"Interrupted at “{walk.step}”; everything that was started has been ended.")
            code = 130
        if walk.rows:
            terminal.heading("\nSummary")
            terminal.table(walk.rows)
        if code:
            sys.exit(code)
        terminal.heading("Every step happened.")


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt
