"""Pages of appliances."""

from __future__ import annotations

import uuid

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.actor import actor_of
from accounts.permissions import MANAGE, allowed
from accounts.tenancy import current_organisation
from appliances import services
from appliances.forms import AddForm
from appliances.models import Appliance
from platform_site.lib.errors import InvalidRequest
from platform_site.lib.http import posted
from platform_site.lib.pagination import page_of


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def appliances(request: HttpRequest) -> HttpResponse:
    form = AddForm(posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            return added(request, form.cleaned_data["name"])
        except InvalidRequest as exc:
            form.add_error(None, exc.detail)
    page = page_of(Appliance.objects.all(), request.GET)
    context = {
        "appliances": page.items,
        "page": page,
        "form": form if allowed(actor_of(request), MANAGE, current_organisation()) else None,
    }
    return render(request, "appliances/appliances.html", context, status=400 if request.method == "POST" else 200)


def added(request: HttpRequest, name: str) -> HttpResponse:
    """The page of a new appliance with its code: in this answer only, as the code is stored nowhere."""
    appliance, code = services.appliance_create(
        organisation_id=current_organisation(), actor=actor_of(request), name=name
    )
    context = {"appliance": appliance, "enrolment_code": code}
    return render(request, "appliances/appliance.html", context, status=201)


@login_required
@require_safe
def appliance(request: HttpRequest, appliance_id: uuid.UUID) -> HttpResponse:
    return render(request, "appliances/appliance.html", {"appliance": services.appliance_find(appliance_id)})
