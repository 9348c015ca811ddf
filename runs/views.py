"""Pages of runs."""

from __future__ import annotations

import uuid

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.actor import actor_of
from platform_site.lib.pagination import choice_of, page_of
from runs import services
from runs.kinds import kind_names
from runs.models import Run, RunState


@login_required
@require_safe
def runs(request: HttpRequest) -> HttpResponse:
    found = Run.objects.select_related("created_by")
    state = choice_of(request.GET, "state", [str(value) for value in RunState.values])
    kind = choice_of(request.GET, "kind", kind_names())
    if state:
        found = found.filter(state=state)
    if kind:
        found = found.filter(kind=kind)
    context = {"page": page_of(found, request.GET), "state": state, "kind": kind}
    return render(request, "runs/runs.html", context | {"states": RunState.choices, "kinds": kind_names()})


@login_required
@require_safe
def run(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    return render(request, "runs/run.html", {"run": services.run_find(run_id)})


@login_required
@require_POST
def cancel(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    services.run_cancel(run=services.run_find(run_id), actor=actor_of(request))
    return redirect("runs:run", run_id)


@login_required
@require_POST
def retry(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    services.run_retry(run=services.run_find(run_id), actor=actor_of(request))
    return redirect("runs:run", run_id)
