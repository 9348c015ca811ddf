"""Django admin as the administrators' desk: sees all organisations, on its own path, with its own content policy."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from csp.decorators import csp_update
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse

from accounts.actor import actor_of
from accounts.authentication import credential_of
from accounts.models import User
from accounts.services.second_factor import is_enabled
from accounts.tenancy import all_organisations
from platform_site.lib.errors import PermissionRefused


def everywhere(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """`view` with the scope of the platform's administrators, also while its template is rendered."""

    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with all_organisations():
            response = view(request, *args, **kwargs)
            if hasattr(response, "render") and not getattr(response, "is_rendered", True):
                response = response.render()
        return response

    return csp_update(settings.ADMIN_CONTENT_SECURITY_POLICY)(wrapped)


def behind_second_factor(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """`view` for sessions that showed a second factor, where the settings ask for one; others learn how to show it."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not settings.ADMIN_REQUIRES_SECOND_FACTOR or not admin.site.has_permission(request):
            return view(request, *args, **kwargs)
        credential = credential_of(request)
        if credential is not None and credential.second_factor:
            return view(request, *args, **kwargs)
        messages.warning(request, _what_to_do(actor_of(request)))
        return redirect("accounts:security")

    return wrapped


def _what_to_do(user: User) -> str:
    if is_enabled(user):
        return "The administration takes a second factor. Sign out, and in again with a code of your authenticator."
    return "The administration takes a second factor. Set up an authenticator first."


def sign_in_first(request: HttpRequest, extra_context: object = None) -> HttpResponseBase:
    """The admin's own sign-in form would be a second door for passwords, without the first one's limits.

    Raises:
        PermissionRefused: somebody is signed in who is no administrator.
    """
    if request.user.is_authenticated:
        raise PermissionRefused("The administration is open to platform administrators only.")
    return redirect_to_login(request.GET.get("next") or reverse("admin:index"))


def open_admin_to_all_organisations() -> None:
    """Wraps every view of the default admin site; called once where its URLs are included."""
    site = admin.site
    if site.is_registered(Group):  # Django's groups play no part here
        site.unregister(Group)
    site.login = sign_in_first  # type: ignore[method-assign,assignment]
    original = site.admin_view

    def admin_view(view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        return behind_second_factor(everywhere(original(view, cacheable)))

    site.admin_view = admin_view  # type: ignore[method-assign,assignment]
