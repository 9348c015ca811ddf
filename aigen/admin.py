"""Generations and provider endpoints in the admin."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminURLInputWidget,
)

from accounts import audit
from accounts.actor import actor_of
from aigen import services
from aigen.models import Attempt, Generation, ProviderEndpoint
from aigen.registry import PROVIDERS
from platform_site.lib.errors import StewardError
from platform_site.lib.read_only_admin import ReadOnlyAdmin
from platform_site.lib.secrets import redact
from runs.admin import act_on_each
from runs.services import run_cancel, run_retry

KEY_FIELDS = frozenset({"new_api_key", "remove_api_key"})

STATUS_COLOURS = {
    "queued": "info",
    "running": "info",
    "ready": "success",
    "unverified": "warning",
    "failed": "danger",
    "cancelled": "warning",
    "interrupted": "warning",
}


class ProviderEndpointForm(forms.ModelForm):  # type: ignore[type-arg]
    """An endpoint whose key can be set and replaced, never read."""

    new_api_key = forms.CharField(
        label="API key",
        required=False,
        max_length=500,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
        help_text="Stored encrypted and never shown again. Leave empty to keep the stored one.",
    )
    base_url = forms.URLField(
        label="Base URL",
        required=False,
        max_length=500,
        assume_scheme="http",
        widget=UnfoldAdminURLInputWidget(),
        help_text="Empty for the provider's own address.",
    )
    models_offered = forms.CharField(
        required=False,
        max_length=20_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text="Model ids people may choose besides the default one, one a line.",
    )
    remove_api_key = forms.BooleanField(label="Remove API key", required=False, help_text="Forget the stored key.")

    class Meta:
        model = ProviderEndpoint
        fields = [
            "name",
            "kind",
            "base_url",
            "default_model",
            "models_offered",
            "price_input",
            "price_output",
            "enabled",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["models_offered"] = "\n".join(self.instance.models_offered)
        kinds = [(kind, kind) for kind in PROVIDERS if kind != "builtin"]
        self.fields["kind"] = forms.ChoiceField(choices=kinds, widget=UnfoldAdminSelectWidget())

    def clean_models_offered(self) -> list[str]:
        lines = self.cleaned_data["models_offered"].splitlines()
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


def endpoint_changes(form: Any, *, had_key: bool) -> dict[str, list[str]]:
    """What a saved form changed, for the audit trail; of keys only whether there is one."""
    fields = [name for name in form.changed_data if name not in KEY_FIELDS]
    changes = {name: [_plain(form.initial.get(name)), _plain(form.cleaned_data[name])] for name in fields}
    if KEY_FIELDS & set(form.changed_data):
        kept = "set" if form.instance.api_key else "none"
        changes["api_key"] = ["set" if had_key else "none", "replaced" if had_key and kept == "set" else kept]
    return changes


def _plain(value: object) -> str:
    """A setting as text; an address without what may be a secret in it."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
    return redact(re.sub(r"//[^/@\s]*@|\?.*", "…", ", ".join(text.splitlines())))


@admin.register(ProviderEndpoint)
class ProviderEndpointAdmin(ModelAdmin):  # type: ignore[misc]
    form = ProviderEndpointForm
    list_display = ["name", "kind", "base_url", "default_model", "has_key", "enabled"]
    list_filter = ["kind", "enabled"]
    actions = ["test_connection"]

    @display(description="Key", boolean=True)  # type: ignore[untyped-decorator]
    def has_key(self, endpoint: ProviderEndpoint) -> bool:
        return bool(endpoint.api_key)

    @transaction.atomic
    def save_model(self, request: HttpRequest, obj: ProviderEndpoint, form: Any, change: bool) -> None:
        had_key = bool(obj.api_key)
        if form.cleaned_data["remove_api_key"]:
            obj.api_key = ""
        elif key := form.cleaned_data["new_api_key"]:
            obj.api_key = key
        super().save_model(request, obj, form, change)
        action = "provider_endpoint.change" if change else "provider_endpoint.create"
        changes = endpoint_changes(form, had_key=had_key)
        audit.record(actor=actor_of(request), action=action, target=obj, changes=changes)

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: ProviderEndpoint) -> None:
        audit.record(actor=actor_of(request), action="provider_endpoint.delete", target=obj)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for endpoint in queryset:
            self.delete_model(request, endpoint)

    @admin.action(description="Test connection")
    def test_connection(self, request: HttpRequest, queryset: Any) -> None:
        for endpoint in queryset:
            try:
                offered, seconds = services.endpoint_test(endpoint=endpoint, actor=actor_of(request))
            except StewardError as exc:
                self.message_user(request, f"{endpoint}: {exc.detail}", messages.ERROR)
            else:
                names = ", ".join(offered[:10]) or "no models"
                self.message_user(request, f"{endpoint} answered in {seconds:.2f} s: {names}", messages.SUCCESS)


class AttemptInline(TabularInline):  # type: ignore[misc]
    model = Attempt
    fk_name = "generation"
    fields = ["number", "purpose", "verdict", "summary", "input_tokens", "output_tokens", "cost"]
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Generation)
class GenerationAdmin(ReadOnlyAdmin):
    list_display = ["title", "shown_status", "language", "model", "organisation", "created_by", "created_at"]
    list_filter = ["status", "language", "model", "organisation"]
    list_select_related = ["organisation", "created_by"]
    search_fields = ["id", "title", "prompt"]
    ordering = ["-id"]
    inlines = [AttemptInline]
    actions = ["cancel", "retry"]

    @display(description="Status", ordering="status", label=STATUS_COLOURS)  # type: ignore[untyped-decorator]
    def shown_status(self, generation: Generation) -> str:
        return generation.status

    @admin.action(description="Cancel")
    def cancel(self, request: HttpRequest, queryset: Any) -> None:
        rows = queryset.select_related("run")
        act_on_each(self, request, rows, "cancelled", lambda row: run_cancel(run=row.run, actor=actor_of(request)))

    @admin.action(description="Retry")
    def retry(self, request: HttpRequest, queryset: Any) -> None:
        rows = queryset.select_related("run")
        act_on_each(self, request, rows, "queued again", lambda row: run_retry(run=row.run, actor=actor_of(request)))
