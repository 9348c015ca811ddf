"""An app has releases; a deployment puts one release on a target."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from django.db import models

from accounts.models import TenantModel, User
from accounts.tenancy import tenant_manager
from aigen.models import Generation
from runs.models import Run


class DeploymentStatus(models.TextChoices):
    QUEUED = "queued", "Queued"
    BUILDING = "building", "Building"
    STARTING = "starting", "Starting"
    LIVE = "live", "Live"
    STOPPING = "stopping", "Stopping"
    STOPPED = "stopped", "Stopped"
    FAILED = "failed", "Failed"
    INTERRUPTED = "interrupted", "Interrupted"


ENDED_STATUSES = frozenset({DeploymentStatus.STOPPED, DeploymentStatus.FAILED, DeploymentStatus.INTERRUPTED})
ACTIVE_STATUSES = frozenset(DeploymentStatus) - ENDED_STATUSES


class AppQuerySet(models.QuerySet["App"]):
    def with_deployments(self, apps: list[App]) -> list[App]:
        """`apps`, each with its current `deployment`; two queries whatever their number."""
        of_app = Deployment.objects.filter(app_id=models.OuterRef("pk")).current_first()
        chosen = self.filter(pk__in=[app.pk for app in apps]).annotate(current=models.Subquery(of_app.values("pk")[:1]))
        current = dict(chosen.values_list("pk", "current"))
        found = Deployment.objects.detailed().in_bulk([pk for pk in current.values() if pk])
        for app in apps:
            app.deployment = found.get(current.get(app.pk))
        return apps


class App(TenantModel):
    """Something that runs for people under one name and address.

    `port` is the one it answered on last, so that it can be had again after a restart.
    """

    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=80)
    port = models.PositiveIntegerField(null=True, blank=True, editable=False)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    objects: ClassVar[Any] = tenant_manager(AppQuerySet)
    deployment: Deployment | None = None
    """The current one, where `with_deployments` looked for it."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organisation", "slug"], name="app_slug_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def newest_releases(self) -> models.QuerySet[Release]:
        """The last 50, without their archives."""
        return self.releases.defer("archive").order_by("-number")[:50]

    @cached_property
    def generation(self) -> Generation | None:
        """What the newest release was made from, where that still exists."""
        return Generation.objects.filter(releases__app_id=self.pk).order_by("-releases__number").first()


class Release(TenantModel):
    """An immutable version of an app: a zip of its files and the command that serves it."""

    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="releases")
    number = models.PositiveIntegerField()
    generation = models.ForeignKey(Generation, null=True, on_delete=models.SET_NULL, related_name="releases")
    language = models.CharField(max_length=30, blank=True)
    command = models.JSONField(
        help_text="The argument list that starts the web process; $PORT and $DATA_DIR are filled in."
    )
    archive = models.BinaryField()
    archive_sha256 = models.CharField(max_length=64)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "number"], name="release_number_once")]

    def __str__(self) -> str:
        return f"{self.app} release {self.number}"


class DeploymentQuerySet(models.QuerySet["Deployment"]):
    def detailed(self) -> DeploymentQuerySet:
        """With app, release and run, but never the release's archive."""
        return self.select_related("app", "release", "run").defer("release__archive")

    def active(self) -> DeploymentQuerySet:
        """Under way, live or stopping."""
        return self.filter(status__in=ACTIVE_STATUSES)

    def current_first(self) -> DeploymentQuerySet:
        """The newest that is active before all others, then the newest."""
        ended = models.Case(models.When(status__in=ENDED_STATUSES, then=1), default=0)
        return self.order_by(ended, "-id")


class Deployment(TenantModel):
    """One release on one target. Its run lasts as long as the application is meant to be up.

    `restart_requests` only grows: the run's handler starts the application again whenever it did.
    """

    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="deployments")
    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="deployments")
    run = models.OneToOneField(Run, null=True, on_delete=models.SET_NULL, related_name="deployment")
    target = models.CharField(max_length=20, default="process")
    status = models.CharField(max_length=20, choices=DeploymentStatus, default=DeploymentStatus.QUEUED)
    reason = models.CharField(max_length=500, blank=True)
    address = models.CharField(max_length=45, blank=True)
    port = models.PositiveIntegerField(null=True, blank=True)
    restart_requests = models.PositiveIntegerField(default=0)
    live_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    objects: ClassVar[Any] = tenant_manager(DeploymentQuerySet)

    class Meta:
        indexes = [
            models.Index(fields=["app", "-id"], name="deployment_of_app"),
            models.Index(fields=["organisation", "-id"], name="deployment_of_organisation"),
        ]

    def __str__(self) -> str:
        return f"{self.release} on {self.target}"

    @property
    def url(self) -> str:
        """Where the application answers, empty while it does not."""
        if self.status != DeploymentStatus.LIVE or not self.port:
            return ""
        return f"http://{self.address}:{self.port}/"

    @property
    def is_ended(self) -> bool:
        return self.status in ENDED_STATUSES

    @property
    def can_cancel(self) -> bool:
        """It is under way and has not been live in this attempt."""
        under_way = {DeploymentStatus.QUEUED, DeploymentStatus.BUILDING, DeploymentStatus.STARTING}
        return self.status in under_way and self.live_at is None

    @property
    def can_stop(self) -> bool:
        return not self.is_ended and not self.can_cancel and self.status != DeploymentStatus.STOPPING

    @property
    def can_restart(self) -> bool:
        return self.status == DeploymentStatus.LIVE or self.is_ended
