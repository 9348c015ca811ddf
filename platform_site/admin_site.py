"""Django admin as the administrators' desk: sees all organisations, on its own path, with its own content policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from csp.decorators import csp_update
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse

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
        return everywhere(original(view, cacheable))

    site.admin_view = admin_view  # type: ignore[method-assign,assignment]
