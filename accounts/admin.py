"""Users, organisations, memberships and the audit trail in the admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminPasswordWidget

from accounts import audit
from accounts.actor import actor_of
from accounts.models import AuditEntry, Membership, Organisation, User
from accounts.services.accounts import user_disable
from accounts.services.sessions import sign_out_everywhere


class UserForm(forms.ModelForm):  # type: ignore[type-arg]
    """A user with an optional new password; the stored one is never shown."""

    new_password = forms.CharField(
        required=False,
        strip=False,
        min_length=10,
        max_length=200,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Leave empty to keep the password. A new one ends every session and token.",
    )

    class Meta:
        model = User
        fields = ["email", "name", "role", "is_active"]


class MembershipInline(TabularInline):  # type: ignore[misc]
    model = Membership
    extra = 0
    autocomplete_fields = ["user", "organisation"]


@admin.register(User)
class UserAdmin(ModelAdmin):  # type: ignore[misc]
    form = UserForm
    list_display = ["email", "name", "role", "is_active", "last_login", "created_at"]
    list_filter = ["role", "is_active"]
    search_fields = ["email", "name"]
    readonly_fields = ["id", "last_login", "created_at"]
    inlines = [MembershipInline]
    actions = ["disable"]

    @transaction.atomic
    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if password := form.cleaned_data.get("new_password"):
            obj.set_password(password)
            sign_out_everywhere(user=obj, actor=actor_of(request), reason="password set by an administrator")
        elif not change:
            obj.set_unusable_password()
        super().save_model(request, obj, form, change)
        action = "account.change" if change else "account.create"
        changed = {name: ["", "changed"] for name in form.changed_data}
        audit.record(actor=actor_of(request), action=action, target=obj, changes=changed)

    @admin.action(description="Disable the selected users and end their sessions and tokens")
    def disable(self, request: HttpRequest, queryset: Any) -> None:
        for user in queryset.exclude(pk=request.user.pk):
            user_disable(user=user, actor=actor_of(request))


@admin.register(Organisation)
class OrganisationAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ["name", "slug", "created_at"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    readonly_fields = ["id", "created_at"]
    inlines = [MembershipInline]


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Rows that the platform writes: to be seen, not edited."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ["at", "actor_email", "action", "target_type", "target_name", "address"]
    list_filter = ["action", "target_type"]
    search_fields = ["actor_email", "target_name", "target_id"]
    date_hierarchy = "at"
