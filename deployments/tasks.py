"""The run behind a deployment."""

from __future__ import annotations

from deployments.lifecycle import deployment_follow_run, deployment_of
from deployments.serving import Serving
from runs.context import RunContext
from runs.kinds import SERVICE, run_kind


@run_kind(
    "deployments.serve",
    label="Deployment",
    idempotent=True,
    pool=SERVICE,
    max_recoveries=None,
    on_change=deployment_follow_run,
)
def serve(context: RunContext) -> None:
    """Lasts as long as the application is meant to be up; after a restart of Steward it is started again."""
    Serving(context, deployment_of(context)).run()
