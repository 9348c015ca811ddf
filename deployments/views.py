"""Pages of applications."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.actor import actor_of
from accounts.permissions import OPERATE, allowed
from deployments import services
from deployments.forms import DeployForm
from deployments.models import App, Deployment
from platform_site.lib.pagination import page_of

HISTORY = 30


@login_required
@require_POST
def deploy(request: HttpRequest, generation_id: uuid.UUID) -> HttpResponse:
    form = DeployForm(request.POST)
    form.is_valid()
    deployment = services.deployment_create(
        generation=services.deployable_find(generation_id),
        actor=actor_of(request),
        name=form.cleaned_data.get("name", ""),
        accept_unverified=form.cleaned_data.get("accept_unverified", False),
    )
    return redirect("deployments:app", deployment.app_id)


@login_required
@require_safe
def apps(request: HttpRequest) -> HttpResponse:
    page = page_of(App.objects.all(), request.GET)
    return render(request, "deployments/apps.html", {"apps": App.objects.with_deployments(page.items), "page": page})


@login_required
@require_safe
def app(request: HttpRequest, app_id: uuid.UUID) -> HttpResponse:
    return render(request, "deployments/app.html", _app_context(request, app_id))


@login_required
@require_safe
def app_panel(request: HttpRequest, app_id: uuid.UUID) -> HttpResponse:
    """All regions of the app's page, to be drawn again."""
    return render(request, "deployments/_panel.html", _app_context(request, app_id))


def _app_context(request: HttpRequest, app_id: uuid.UUID) -> dict[str, Any]:
    found = services.app_find(app_id)
    of_app = Deployment.objects.detailed().filter(app=found)
    current = of_app.current_first().first()
    may = current is not None and allowed(actor_of(request), OPERATE, found.organisation_id)
    return {
        "app": found,
        "deployment": current,
        "deployments": of_app.order_by("-id")[:HISTORY],
        "can_stop": may and current.can_stop,
        "can_restart": may and current.can_restart,
        "can_cancel": may and current.can_cancel,
        "can_rollback": may and current.release.number > 1,
    }


def _action(service: Callable[..., Deployment]) -> Callable[..., HttpResponse]:
    @login_required
    @require_POST
    def view(request: HttpRequest, deployment_id: uuid.UUID) -> HttpResponse:
        deployment = service(deployment=services.deployment_find(deployment_id), actor=actor_of(request))
        return redirect("deployments:app", deployment.app_id)

    return view


stop = _action(services.deployment_stop)
restart = _action(services.deployment_restart)
cancel = _action(services.deployment_cancel)
rollback = _action(services.deployment_rollback)
