"""Appliances at the administrators' desk. Codes and keys are hashes there as everywhere, and are not shown."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from accounts.actor import actor_of
from appliances import services
from appliances.models import Appliance


@admin.register(Appliance)
class ApplianceAdmin(ModelAdmin):
    """Appliances are added where their code can be shown, on the pages; here their configuration is edited."""

    list_display = ["name", "organisation", "shown_state", "version", "last_heartbeat_at", "created_at"]
    list_filter = ["organisation", "last_heartbeat_at"]
    search_fields = ["id", "name", "organisation__name"]
    fields = [
        "id",
        "name",
        "organisation",
        "address",
        "shown_state",
        "version",
        "last_heartbeat_at",
        "enrolled_at",
        "config_version",
        "desired_version",
        "desired_config",
    ]
    readonly_fields = [field for field in fields if field != "desired_config"]
    list_select_related = ["organisation"]
    ordering = ["-id"]

    @admin.display(description="State")
    def shown_state(self, appliance: Appliance) -> str:
        return appliance.state

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        document = form.cleaned_data["desired_config"]
        services.appliance_configure(appliance=obj, actor=actor_of(request), document=document)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
