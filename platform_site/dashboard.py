"""The first page after signing in: what runs, what was made, what is live."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from aigen.models import Generation, GenerationStatus
from deployments.models import Deployment, DeploymentStatus
from runs.models import Run, RunState

SHOWN = 6


@login_required
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    live = Deployment.objects.detailed().filter(status=DeploymentStatus.LIVE).order_by("-id")
    last_day = timezone.now() - timedelta(days=1)
    stats = {
        "runs_running": Run.objects.filter(state=RunState.RUNNING).count(),
        "generations_ready": Generation.objects.filter(status=GenerationStatus.READY).count(),
        "apps_live": live.count(),
        "runs_failed": Run.objects.filter(state=RunState.FAILED, finished_at__gte=last_day).count(),
    }
    context = {
        "stats": stats,
        "generations": Generation.objects.newest_first()[:SHOWN],
        "deployments": live[:SHOWN],
        "runs": Run.objects.newest_first()[:SHOWN],
    }
    return render(request, "dashboard/dashboard.html", context)
