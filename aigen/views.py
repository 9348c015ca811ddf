"""Pages of the studio."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.actor import actor_of
from accounts.tenancy import current_organisation
from aigen import services
from aigen.forms import GenerationForm
from aigen.models import Generation
from platform_site.lib.http import posted
from platform_site.lib.ratelimit import page_limit
from runs.services import run_cancel, run_retry

SHOWN = 20


@login_required
@require_http_methods(["GET", "POST"])
@page_limit("generate", "60/m", key="user")
def studio(request: HttpRequest) -> HttpResponse:
    form = GenerationForm(posted(request), initial={"prompt": request.GET.get("prompt", "")})
    if request.method == "POST" and form.is_valid():
        generation = services.generation_create(
            actor=actor_of(request), organisation_id=current_organisation(), **form.cleaned_data
        )
        return redirect("aigen:generation", generation.pk)
    context = {"form": form, "generations": Generation.objects.newest_first()[:SHOWN]}
    return render(request, "aigen/studio.html", context, status=400 if form.errors else 200)


@login_required
@require_safe
def generation(request: HttpRequest, generation_id: uuid.UUID) -> HttpResponse:
    return render(request, "aigen/generation.html", generation_context(generation_id))


@login_required
@require_safe
def generation_panel(request: HttpRequest, generation_id: uuid.UUID) -> HttpResponse:
    """The part of the page that follows the run, fetched again when a step is done."""
    return render(request, "aigen/_panel.html", generation_context(generation_id))


def generation_context(generation_id: uuid.UUID) -> dict[str, Any]:
    found = services.generation_find(generation_id)
    return {
        "generation": found,
        "run": found.run,
        "attempts": list(found.attempts.order_by("number")),
        "files": services.generation_files(found),
    }


@login_required
@require_POST
def cancel(request: HttpRequest, generation_id: uuid.UUID) -> HttpResponse:
    run_cancel(run=services.generation_run(generation_id), actor=actor_of(request))
    return redirect("aigen:generation", generation_id)


@login_required
@require_POST
def retry(request: HttpRequest, generation_id: uuid.UUID) -> HttpResponse:
    run_retry(run=services.generation_run(generation_id), actor=actor_of(request))
    return redirect("aigen:generation", generation_id)
