"""The identity provider in the admin: what groups grant, and who is connected."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from accounts.actor import actor_of
from accounts.models import GroupMapping, OidcIdentity
from accounts.services.group_grants import group_mapping_delete, group_mapping_save
from platform_site.lib.read_only_admin import ReadOnlyAdmin


class GroupMappingForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = GroupMapping
        fields = ["group", "organisation", "role", "platform_role"]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        in_organisation = bool(values.get("organisation")) and bool(values.get("role"))
        names_any = bool(values.get("organisation")) or bool(values.get("role"))
        if in_organisation == bool(values.get("platform_role")) or (names_any and not in_organisation):
            raise forms.ValidationError("Choose either an organisation and a role in it, or a platform role.")
        return values


@admin.register(GroupMapping)
class GroupMappingAdmin(ModelAdmin):  # type: ignore[misc]
    form = GroupMappingForm
    list_display = ["group", "organisation", "role", "platform_role"]
    list_filter = ["role", "platform_role"]
    list_select_related = ["organisation"]
    search_fields = ["group", "organisation__name"]
    autocomplete_fields = ["organisation"]

    def save_model(self, request: HttpRequest, obj: GroupMapping, form: Any, change: bool) -> None:
        group_mapping_save(mapping=obj, actor=actor_of(request))

    def delete_model(self, request: HttpRequest, obj: GroupMapping) -> None:
        group_mapping_delete(mapping=obj, actor=actor_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for mapping in queryset:
            group_mapping_delete(mapping=mapping, actor=actor_of(request))


@admin.register(OidcIdentity)
class OidcIdentityAdmin(ReadOnlyAdmin):
    """To be seen, not edited; the refresh token is not even read."""

    fields = [
        "user",
        "issuer",
        "subject",
        "email",
        "groups",
        "created_at",
        "signed_in_at",
        "checked_at",
        "failing_since",
    ]
    list_display = ["email", "user", "issuer", "subject", "checked_at", "failing_since"]
    list_select_related = ["user"]
    search_fields = ["email", "subject", "user__email"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("refresh_token")
