"""Pages of organisations."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from accounts.middleware import ORGANISATION_KEY
from accounts.models import Membership
from accounts.views.sign_in import safe_next
from platform_site.lib.errors import NotFound


@require_POST
def switch_organisation(request: HttpRequest) -> HttpResponse:
    wanted = request.POST.get("organisation", "")
    membership = Membership.objects.organisation_for(request.user, wanted) if request.user.is_authenticated else None
    if membership is None or str(membership.pk) != wanted:
        raise NotFound("There is no such organisation.")
    request.session[ORGANISATION_KEY] = wanted
    return redirect(safe_next(request))
