"""The audit trail at the administrators' desk: read and exported, never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, StreamingHttpResponse

from accounts.actor import actor_of
from accounts.api.audit import export_response
from accounts.models import AuditEntry
from accounts.services.audit_trail import CSV, selection_export
from platform_site.lib.read_only_admin import ReadOnlyAdmin


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ["at", "actor_email", "action", "target_type", "target_name", "address", "credential"]
    list_filter = ["action", "target_type"]
    search_fields = ["=actor_email", "=target_id", "=request_id", "target_name"]
    date_hierarchy = "at"
    ordering = ["-id"]
    show_full_result_count = False
    actions = ["export"]

    @admin.action(description="Export as CSV")
    def export(self, request: HttpRequest, queryset: Any) -> StreamingHttpResponse:
        return export_response(selection_export(actor=actor_of(request), entries=queryset), CSV)
