"""The page of the audit trail, and its export."""

from __future__ import annotations

import uuid

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.actor import actor_of
from accounts.api.audit import chosen_format, export_response
from accounts.forms.audit import AuditFilterForm
from accounts.services import audit_trail
from accounts.tenancy import current_organisation
from platform_site.lib.pagination import Page, known_parameters


def scope_of(request: HttpRequest) -> uuid.UUID | None:
    """The organisation that the page speaks of: the current one, unless a platform Administrator wants all."""
    wanted = request.GET.get("organization")
    default = None if wanted else current_organisation()
    return audit_trail.trail_scope(actor=actor_of(request), wanted=wanted, default=default)


@login_required
@require_safe
def audit(request: HttpRequest) -> HttpResponse:
    known_parameters(request.GET, "organization", "limit", "cursor", *audit_trail.FILTERS)
    organisation_id = scope_of(request)
    form = AuditFilterForm(request.GET)
    page: Page = Page([], None)
    if form.is_valid():
        page = audit_trail.trail_page(organisation_id=organisation_id, wanted=form.wanted, parameters=request.GET)
    context = {
        "form": form,
        "page": page,
        "actions": audit_trail.trail_actions(organisation_id=organisation_id),
        "everywhere": organisation_id is None,
        "may_manage": True,
    }
    return render(request, "accounts/audit.html", context, status=200 if form.is_valid() else 400)


@login_required
@require_safe
def audit_export(request: HttpRequest) -> StreamingHttpResponse:
    known_parameters(request.GET, "organization", "format", *audit_trail.FILTERS)
    rows = audit_trail.trail_export(
        actor=actor_of(request),
        organisation_id=scope_of(request),
        wanted=audit_trail.filter_read(request.GET),
        format=chosen_format(request.GET),
    )
    return export_response(rows, chosen_format(request.GET))
