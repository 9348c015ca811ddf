"""Users, organisations and memberships in the admin: a view over the services, which decide and audit.

Nothing here is saved or deleted by the admin itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, OuterRef, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminPasswordWidget

from accounts.actor import actor_of
from accounts.admin_audit import AuditEntryAdmin as AuditEntryAdmin  # registers itself
from accounts.admin_oidc import GroupMappingAdmin as GroupMappingAdmin  # registers itself
from accounts.middleware import ORGANISATION_KEY, choose_organisation
from accounts.models import Membership, Organisation, User
from accounts.services import closing, memberships, organisations, users
from accounts.services.second_factor import authenticator_forget
from platform_site.lib.errors import NotFound, StewardError


class ServiceAdmin(ModelAdmin):  # type: ignore[misc]
    """Shows what a service refuses as a message, on the page where it was asked for."""

    list_per_page = 50
    show_full_result_count = False

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return _or_told(request, super().changeform_view, *args, **kwargs)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return _or_told(request, super().changelist_view, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return _or_told(request, super().delete_view, *args, **kwargs)


def _or_told(request: HttpRequest, view: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        with transaction.atomic():
            return view(request, *args, **kwargs)
    except StewardError as exc:
        if request.method != "POST":
            raise
        messages.error(request, exc.detail)
        return HttpResponseRedirect(request.get_full_path())


# --- Users --------------------------------------------------------------------------------------------------------
class UserForm(forms.ModelForm):  # type: ignore[type-arg]
    """A user with an optional new password; the stored one is never shown."""

    new_password = forms.CharField(
        required=False,
        strip=False,
        min_length=10,
        max_length=200,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Leave empty to keep the password. A new one ends every session and API sign-in.",
    )

    class Meta:
        model = User
        fields = ["email", "name", "role", "is_active"]


@admin.register(User)
class UserAdmin(ServiceAdmin):
    form = UserForm
    list_display = ["email", "name", "role", "is_active", "last_login", "created_at"]
    list_filter = ["role", "is_active"]
    search_fields = ["email", "name"]
    actions = ["disable", "enable", "forget_authenticator"]

    def get_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        if obj is None:  # who is added gets a link to set a password
            return ["email", "name", "role"]
        seen = ["role_source", "organisations_link", "id", "last_login", "created_at"]
        return ["email", "name", "role", "is_active", "new_password", *seen]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        own = ["role", "is_active"] if obj is not None and obj.pk == request.user.pk else []
        return [*own, "role_source", "organisations_link", "id", "last_login", "created_at"]

    @display(description="Organisations")  # type: ignore[untyped-decorator]
    def organisations_link(self, user: User) -> SafeString:
        return _memberships_link("user__id__exact", user.pk, user.memberships.count())

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return obj is None or obj.pk != request.user.pk

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        actor, values = actor_of(request), form.cleaned_data
        if not change:
            made = users.user_create_by_administrator(
                email=values["email"], name=values["name"], role=values["role"], actor=actor
            )
            obj.pk, obj._state.adding = made.pk, False
            return
        wanted = {name: values[name] for name in ("email", "name", "role", "is_active") if name in form.changed_data}
        users.user_change(user=obj, actor=actor, **wanted)
        if password := values.get("new_password"):
            users.user_password_set(user=obj, password=password, actor=actor)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        users.user_delete(user=obj, actor=actor_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for user in queryset:
            users.user_delete(user=user, actor=actor_of(request))

    @admin.action(description="Disable the selected users and end their sessions and tokens")
    def disable(self, request: HttpRequest, queryset: Any) -> None:
        for user in queryset.exclude(pk=request.user.pk):
            users.user_disable(user=user, actor=actor_of(request))

    @admin.action(description="Let the selected users sign in again")
    def enable(self, request: HttpRequest, queryset: Any) -> None:
        for user in queryset:
            users.user_enable(user=user, actor=actor_of(request))

    @admin.action(description="Remove the second factor of the selected users")
    def forget_authenticator(self, request: HttpRequest, queryset: Any) -> None:
        for user in queryset:
            authenticator_forget(user=user, actor=actor_of(request))


def _memberships_link(field: str, value: object, count: int) -> SafeString:
    url = reverse("admin:accounts_membership_changelist")
    return format_html('<a href="{}?{}={}">{}</a>', url, field, value, count)


# --- Organisations ------------------------------------------------------------------------------------------------
class OrganisationForm(forms.ModelForm):  # type: ignore[type-arg]
    """An organisation; a new one is given to somebody who has an account."""

    owner = forms.EmailField(
        required=False, widget=UnfoldAdminEmailInputWidget(), help_text="The e-mail address of its first owner."
    )

    class Meta:
        model = Organisation
        fields = ["name"]

    def clean_owner(self) -> User | None:
        address = self.cleaned_data["owner"]
        found = User.objects.filter(email__iexact=address, is_active=True).first() if address else None
        if address and found is None:
            raise forms.ValidationError("There is nobody with this address who can sign in.")
        return found


@admin.register(Organisation)
class OrganisationAdmin(ServiceAdmin):
    """Organisations are closed, and deleted once their grace is over; not here."""

    form = OrganisationForm
    list_display = ["name", "slug", "member_count", "closed_at", "created_at"]
    list_filter = [("closed_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "slug"]
    actions = ["enter", "close", "reopen"]

    def get_queryset(self, request: HttpRequest) -> Any:
        of_it = Membership.objects.filter(organisation=OuterRef("pk")).order_by().values("organisation")
        counts = of_it.annotate(count=Count("pk")).values("count")
        return super().get_queryset(request).annotate(members_counted=Subquery(counts))

    @display(description="Members", ordering="members_counted")  # type: ignore[untyped-decorator]
    def member_count(self, organisation: Any) -> int:
        return organisation.members_counted or 0

    @display(description="Members")  # type: ignore[untyped-decorator]
    def members_link(self, organisation: Organisation) -> SafeString:
        return _memberships_link("organisation__id__exact", organisation.pk, organisation.memberships.count())

    def get_fields(self, request: HttpRequest, obj: Organisation | None = None) -> list[str]:
        return ["name", "owner"] if obj is None else ["name", *self.get_readonly_fields(request, obj)]

    def get_readonly_fields(self, request: HttpRequest, obj: Organisation | None = None) -> list[str]:
        return ["slug", "members_link", "id", "created_at", "closed_at", "purge_after"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Organisation, form: Any, change: bool) -> None:
        actor, name = actor_of(request), form.cleaned_data["name"]
        if change:
            organisations.organisation_rename(organisation=obj, name=name, actor=actor)
            return
        owner = form.cleaned_data.get("owner") or actor
        made = organisations.organisation_create(name=name, owner=owner, actor=actor)
        obj.pk, obj._state.adding = made.pk, False

    @admin.action(description="Enter (its audit trail tells of it)")
    def enter(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            raise NotFound("Choose one organisation to enter.")
        choose_organisation(actor_of(request), str(chosen[0].pk), getattr(request, "credential", None))
        request.session[ORGANISATION_KEY] = str(chosen[0].pk)
        return redirect("dashboard")

    @admin.action(description="Close: everybody is out at once, deleted after the grace")
    def close(self, request: HttpRequest, queryset: Any) -> None:
        for one in queryset:
            closing.organisation_close(organisation=one, confirmation=one.name, actor=actor_of(request))

    @admin.action(description="Open again")
    def reopen(self, request: HttpRequest, queryset: Any) -> None:
        for one in queryset:
            closing.organisation_reopen(organisation=one, actor=actor_of(request))


# --- Memberships --------------------------------------------------------------------------------------------------
@admin.register(Membership)
class MembershipAdmin(ServiceAdmin):
    """A list of its own, in pages: an organisation may have more members than a form has room for."""

    list_display = ["user", "organisation", "role", "source", "created_at"]
    list_filter = ["role", "source"]
    list_select_related = ["user", "organisation"]
    search_fields = ["user__email", "user__name", "organisation__name"]
    autocomplete_fields = ["user", "organisation"]

    def get_fields(self, request: HttpRequest, obj: Membership | None = None) -> list[str]:
        return ["user", "organisation", "role"] if obj is None else ["user", "organisation", "role", "source"]

    def get_readonly_fields(self, request: HttpRequest, obj: Membership | None = None) -> list[str]:
        return [] if obj is None else ["user", "organisation", "source"]

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        actor, role = actor_of(request), form.cleaned_data["role"]
        if change:
            memberships.membership_change(membership=obj, role=role, actor=actor)
            return
        made = memberships.membership_add(user=obj.user, organisation=obj.organisation, role=role, actor=actor)
        obj.pk, obj._state.adding = made.pk, False

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        memberships.membership_remove(membership=obj, actor=actor_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for membership in queryset.select_related("user"):
            memberships.membership_remove(membership=membership, actor=actor_of(request))
