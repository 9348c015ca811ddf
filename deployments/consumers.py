"""WebSocket `/ws/deployments/{id}/logs`: the log of a deployment's run."""

from __future__ import annotations

import uuid

from accounts.sockets import socket_scope
from deployments.models import Deployment
from platform_site.lib.errors import NotFound
from runs.consumers import RunConsumer


class DeploymentLogConsumer(RunConsumer):
    """The events of the run behind a deployment."""

    kwarg = "deployment_id"

    def _find_run(self, deployment_id: uuid.UUID) -> uuid.UUID:
        with socket_scope(self.scope):
            run_id = Deployment.objects.filter(pk=deployment_id).values_list("run_id", flat=True).first()
        if run_id is None:
            raise NotFound("There is no such deployment.")
        return uuid.UUID(str(run_id))
