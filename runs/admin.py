"""Runs in the admin: seen, cancelled, retried, their log read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from unfold.decorators import display

from accounts.actor import actor_of
from platform_site.lib.errors import StewardError
from platform_site.lib.read_only_admin import ReadOnlyAdmin
from runs import services
from runs.events import events_page
from runs.models import Run

LOG_EVENTS = 500

STATE_COLOURS = {
    "queued": "info",
    "running": "info",
    "succeeded": "success",
    "failed": "danger",
    "cancelled": "warning",
    "interrupted": "warning",
}


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = [
        "title",
        "kind",
        "shown_state",
        "organisation",
        "created_by",
        "attempt",
        "created_at",
        "finished_at",
    ]
    list_filter = ["state", "kind", "organisation"]
    list_select_related = ["organisation", "created_by"]
    search_fields = ["id", "title"]
    ordering = ["-id"]
    actions = ["cancel", "retry"]
    fieldsets = [
        (None, {"fields": ["title", "kind", "state", "reason", "organisation", "created_by", "attempt", "recoveries"]}),
        (
            "Times",
            {"fields": ["created_at", "queued_at", "started_at", "finished_at", "lease_owner", "lease_expires_at"]},
        ),
        ("Data", {"fields": ["payload", "result"]}),
        ("Log", {"fields": ["log"]}),
    ]
    readonly_fields = ["log"]

    @display(description="State", ordering="state", label=STATE_COLOURS)  # type: ignore[untyped-decorator]
    def shown_state(self, run: Run) -> str:
        return run.state

    @display(description="Last events")  # type: ignore[untyped-decorator]
    def log(self, run: Run) -> SafeString:
        events, _ = events_page(run.pk, max(0, run.last_seq - LOG_EVENTS), limit=LOG_EVENTS)
        return render_to_string("admin/runs/log.html", {"events": events, "run": run})

    @admin.action(description="Cancel")
    def cancel(self, request: HttpRequest, queryset: Any) -> None:
        act_on_each(
            self, request, queryset, "cancelled", lambda run: services.run_cancel(run=run, actor=actor_of(request))
        )

    @admin.action(description="Retry")
    def retry(self, request: HttpRequest, queryset: Any) -> None:
        act_on_each(
            self, request, queryset, "queued again", lambda run: services.run_retry(run=run, actor=actor_of(request))
        )


def act_on_each(model_admin: Any, request: HttpRequest, rows: Any, done: str, service: Callable[[Any], object]) -> None:
    """Calls a service for each selected row and tells how it went: the body of every admin action."""
    succeeded = 0
    for row in rows:
        try:
            service(row)
            succeeded += 1
        except StewardError as exc:
            model_admin.message_user(request, f"{row}: {exc.detail}", messages.WARNING)
    if succeeded:
        model_admin.message_user(request, f"{succeeded} {done}.", messages.SUCCESS)
