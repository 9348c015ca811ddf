"""The deployments routes below `/api/v1/`."""

from __future__ import annotations

from django.urls import path

from deployments import api

urlpatterns = [
    path("apps", api.Apps.as_view()),
    path("apps/<uuid:app_id>", api.AppDetail.as_view()),
    path("deployments", api.Deployments.as_view()),
    path("deployments/<uuid:deployment_id>", api.DeploymentDetail.as_view()),
    path("deployments/<uuid:deployment_id>/cancel", api.DeploymentCancel.as_view()),
    path("deployments/<uuid:deployment_id>/stop", api.DeploymentStop.as_view()),
    path("deployments/<uuid:deployment_id>/restart", api.DeploymentRestart.as_view()),
    path("deployments/<uuid:deployment_id>/rollback", api.DeploymentRollback.as_view()),
    path("deployments/<uuid:deployment_id>/logs", api.DeploymentLogs.as_view()),
    path("deployments/<uuid:deployment_id>/logs/stream", api.DeploymentLogStream.as_view()),
    path("deployments/<uuid:deployment_id>/logs/download", api.DeploymentLogDownload.as_view()),
]
