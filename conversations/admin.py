"""Conversations at the administrators' desk: who, when and with which model, never what was said."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from conversations.models import Conversation
from platform_site.lib.read_only_admin import ReadOnlyAdmin


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin):
    """Metadata only. The title is content too: it is made from the first message."""

    list_display = ["id", "organisation", "created_by", "model", "message_count", "created_at", "updated_at"]
    list_filter = ["organisation", "model", "created_at"]
    search_fields = ["id", "created_by__email"]
    fields = ["id", "organisation", "created_by", "model", "created_at", "updated_at"]
    readonly_fields = fields
    list_select_related = ["organisation", "created_by"]
    ordering = ["-id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        found: QuerySet[Conversation] = super().get_queryset(request)
        return found.annotate(message_total=Count("messages")).defer("title", "system_prompt")

    @admin.display(description="Messages", ordering="message_total")
    def message_count(self, conversation: Any) -> int:
        return int(conversation.message_total)
