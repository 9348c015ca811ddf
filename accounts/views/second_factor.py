"""Pages of the second factor: setting it up, showing it when signing in, and the sessions that follow."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import segno
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.safestring import SafeString
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.actor import actor_of
from accounts.forms.second_factor import CodeForm
from accounts.models import Authenticator, User
from accounts.services import second_factor as services
from accounts.services.sign_in import sign_in_note
from accounts.sessions import METHOD_KEY, SECOND_FACTOR_KEY
from platform_site.lib.errors import InvalidRequest, RateLimited
from platform_site.lib.http import posted

PENDING_KEY = "pending_sign_in"
PENDING_SECONDS = 600


@dataclass(frozen=True)
class PendingSignIn:
    """A sign-in that waits for its second factor; it opens nothing. Kept in the session, on the server.

    Args:
        user_id: whose.
        method: how the first factor was shown.
        destination: the path to go on to.
        begun_at: seconds since the epoch.
        password_mark: what changes with the password, so that a new one voids the sign-in.
    """

    user_id: str
    method: str
    destination: str
    begun_at: float
    password_mark: str


# --- Sessions -----------------------------------------------------------------------------------------------------
def begin_session(request: HttpRequest, user: User, *, method: str, second_factor: bool = False) -> None:
    """Signs `user` in to this browser's session, under a new key."""
    request.session.pop(PENDING_KEY, None)
    request.session.pop(SECOND_FACTOR_KEY, None)  # of an earlier sign-in in this browser
    login(request, user, backend=getattr(user, "backend", settings.AUTHENTICATION_BACKENDS[0]))
    request.session[METHOD_KEY] = method
    if second_factor:
        mark_second_factor(request)
    sign_in_note(user=user, method=method, second_factor=second_factor)


def mark_second_factor(request: HttpRequest) -> None:
    """Notes in the session that a second factor was shown in it."""
    request.session[SECOND_FACTOR_KEY] = timezone.now().isoformat()


def sign_in_or_challenge(request: HttpRequest, user: User, *, method: str, destination: str) -> HttpResponse:
    """Signs in and goes on to `destination`, by way of the second factor's page when `user` has one."""
    if not services.is_enabled(user):
        begin_session(request, user, method=method)
        return redirect(destination)
    mark = user.get_session_auth_hash()
    pending = PendingSignIn(str(user.pk), method, destination, timezone.now().timestamp(), mark)
    request.session[PENDING_KEY] = asdict(pending)
    return redirect("accounts:second_factor")


def pending_of(request: HttpRequest) -> tuple[PendingSignIn, User] | None:
    """The sign-in that waits in this session and whose it is; None when there is none or it is void by now."""
    kept = request.session.get(PENDING_KEY)
    if kept is None:
        return None
    pending = PendingSignIn(**kept)
    user = User.objects.filter(pk=pending.user_id, is_active=True).first()
    is_old = not 0 <= timezone.now().timestamp() - pending.begun_at <= PENDING_SECONDS
    if is_old or user is None or not constant_time_compare(user.get_session_auth_hash(), pending.password_mark):
        del request.session[PENDING_KEY]
        return None
    return pending, user


@never_cache
@require_http_methods(["GET", "POST"])
def second_factor(request: HttpRequest) -> HttpResponse:
    found = pending_of(request)
    if found is None:
        return _nothing_pending(request)
    pending, user = found
    form = CodeForm(posted(request))
    if request.method == "POST" and _is_right(form, user):
        begin_session(request, user, method=pending.method, second_factor=True)
        return redirect(pending.destination)
    status = 200 if request.method == "GET" else 400
    return render(request, "accounts/second_factor.html", {"form": form, "email": user.email}, status=status)


def _nothing_pending(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect("accounts:security")
    if request.method == "POST":
        messages.warning(request, "This sign-in took too long. Please begin again.")
    return redirect("accounts:sign_in")


def _is_right(form: CodeForm, user: User) -> bool:
    if not form.is_valid():
        return False
    try:
        services.code_require(user=user, code=form.cleaned_data["code"])
    except InvalidRequest as exc:
        form.add_error("code", exc.detail)
        return False
    return True


# --- The authenticator --------------------------------------------------------------------------------------------
def authenticator_context(request: HttpRequest) -> dict[str, Any]:
    """What `templates/accounts/_authenticator.html` shows of the signed-in user."""
    user = actor_of(request)
    return {
        "authenticator": services.authenticator_of(user),
        "recovery_codes_left": services.recovery_codes_left(user),
        "second_factor_shown": bool(request.session.get(SECOND_FACTOR_KEY)),
    }


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def authenticator_set_up(request: HttpRequest) -> HttpResponse:
    user, form = actor_of(request), CodeForm(posted(request))
    if request.method == "GET" and services.is_enabled(user):
        return redirect("accounts:security")
    authenticator = services.authenticator_draft(user=user)
    if request.method == "POST" and form.is_valid():
        try:
            codes = services.authenticator_confirm(user=user, code=form.cleaned_data["code"])
        except InvalidRequest as exc:
            form.add_error("code", exc.detail)
        else:
            mark_second_factor(request)
            return _recovery_codes_page(request, codes, is_new=True)
    status = 200 if request.method == "GET" else 400
    return render(request, "accounts/authenticator.html", _set_up_context(authenticator, form), status=status)


def _set_up_context(authenticator: Authenticator, form: CodeForm) -> dict[str, Any]:
    url = services.otpauth_url(authenticator)
    # Black on white in any theme: many readers do not know the reverse. Classes only, as inline styles are forbidden.
    drawing = segno.make(url, error="m", micro=False).svg_inline(scale=4, border=4, svgclass=None, lineclass=None)
    secret = authenticator.secret
    return {
        "form": form,
        "drawing": SafeString(drawing),
        "url": url,
        "secret": secret,
        "secret_shown": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
    }


@never_cache
@login_required
@require_POST
def authenticator_remove(request: HttpRequest) -> HttpResponse:
    try:
        services.authenticator_remove(user=actor_of(request), code=request.POST.get("code", ""))
    except (InvalidRequest, RateLimited) as exc:
        messages.error(request, exc.detail)
    else:
        request.session.pop(SECOND_FACTOR_KEY, None)
        messages.success(request, "Your authenticator was removed. Signing in takes only your password now.")
    return redirect("accounts:security")


@never_cache
@login_required
@require_POST
def recovery_codes(request: HttpRequest) -> HttpResponse:
    try:
        codes = services.recovery_codes_replace(user=actor_of(request), code=request.POST.get("code", ""))
    except (InvalidRequest, RateLimited) as exc:
        messages.error(request, exc.detail)
        return redirect("accounts:security")
    return _recovery_codes_page(request, codes, is_new=False)


def _recovery_codes_page(request: HttpRequest, codes: list[str], *, is_new: bool) -> HttpResponse:
    """The codes, in this answer only: they are stored nowhere."""
    context = {"codes": codes, "is_new": is_new, "as_text": "".join(f"{code}\r\n" for code in codes)}
    return render(request, "accounts/recovery_codes.html", context)
