"""Pages of personal access tokens."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.actor import actor_of
from accounts.forms.tokens import TokenForm
from accounts.models import Organisation, User
from accounts.services import tokens as services
from platform_site.lib.errors import Conflict, InvalidRequest
from platform_site.lib.http import posted
from platform_site.lib.pagination import page_of


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    user = actor_of(request)
    mine = Organisation.objects.filter(memberships__user=user, closed_at=None)
    form, made = TokenForm(posted(request), organisations=mine), None
    if request.method == "POST" and form.is_valid() and (made := _made(form, user)):
        form = TokenForm(organisations=mine)
    page = page_of(services.tokens_of(user), request.GET)
    context = {"form": form, "tokens": page.items, "page": page, "made": made}
    status = 200 if request.method == "GET" else 201 if made else 400
    return render(request, "accounts/tokens.html", context, status=status)


def _made(form: TokenForm, user: User) -> str | None:
    """The text of the new token, shown in this answer only; None when the form has errors now."""
    values = form.cleaned_data
    organisation_id = uuid.UUID(values["organisation"]) if values["organisation"] else None
    try:
        _, raw = services.token_create(
            user=user,
            name=values["name"],
            scopes=values["scopes"],
            expires_at=form.expires_at,
            organisation_id=organisation_id,
        )
    except (InvalidRequest, Conflict) as exc:
        form.add_error("name" if exc.errors and "name" in exc.errors else None, exc.detail)
        return None
    return raw


@login_required
@require_POST
def token_revoke(request: HttpRequest, token_id: uuid.UUID) -> HttpResponse:
    user = actor_of(request)
    token = services.token_find(user=user, token_id=token_id)
    services.token_revoke(token=token, actor=user)
    messages.success(request, f"The token {token.name} was revoked.")
    return redirect("accounts:tokens")
