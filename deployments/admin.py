"""The administrators' view of apps and deployments. What happened is read; what runs can be stopped and restarted."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts.actor import actor_of
from deployments import services
from deployments.models import App, Deployment, Release
from platform_site.lib.read_only_admin import ReadOnlyAdmin
from runs.admin import act_on_each


@admin.register(App)
class AppAdmin(ReadOnlyAdmin):
    list_display = ["name", "organisation", "releases_made", "created_by", "created_at"]
    list_filter = ["organisation"]
    list_select_related = ["organisation", "created_by"]
    search_fields = ["name", "slug"]
    fields = ["id", "name", "slug", "organisation", "created_by", "created_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[App]:
        found: QuerySet[App] = App.objects.annotate(release_count=Count("releases")).order_by("-id")
        return found

    @admin.display(description="Releases", ordering="release_count")
    def releases_made(self, app: App) -> int:
        return int(getattr(app, "release_count", 0))


@admin.register(Release)
class ReleaseAdmin(ReadOnlyAdmin):
    """Without the archive: it is neither shown nor written here."""

    list_display = ["app", "number", "language", "organisation", "created_by", "created_at"]
    list_select_related = ["app", "organisation", "created_by"]
    search_fields = ["app__name", "archive_sha256"]
    fields = ["id", "app", "number", "language", "command", "archive_sha256", "generation", "created_by", "created_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Release]:
        found: QuerySet[Release] = Release.objects.defer("archive").order_by("-id")
        return found


@admin.register(Deployment)
class DeploymentAdmin(ReadOnlyAdmin):
    list_display = ["app", "release_number", "organisation", "target", "status", "address_link", "created_at"]
    list_filter = ["status", "target", "organisation"]
    search_fields = ["app__name", "app__slug", "=id"]
    actions = ["stop", "restart"]
    fields = ["id", "app", "release", "target", "status", "reason", "address_link", "run_link", "live_at", "stopped_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Deployment]:
        found: QuerySet[Deployment] = Deployment.objects.detailed().select_related("organisation").order_by("-id")
        return found

    @admin.display(description="Release")
    def release_number(self, deployment: Deployment) -> int:
        return deployment.release.number

    @admin.display(description="Address")
    def address_link(self, deployment: Deployment) -> str:
        if not deployment.url:
            return "-"
        return format_html('<a href="{0}" target="_blank" rel="noopener noreferrer">{0}</a>', deployment.url)

    @admin.display(description="Run")
    def run_link(self, deployment: Deployment) -> str:
        if deployment.run_id is None:
            return "-"
        url = reverse("admin:runs_run_change", args=[deployment.run_id])
        return format_html('<a href="{}">{}</a>', url, deployment.run_id)

    @admin.action(description="Stop")
    def stop(self, request: HttpRequest, chosen: QuerySet[Deployment]) -> None:
        actor = actor_of(request)
        act_on_each(
            self, request, chosen, "being stopped", lambda row: services.deployment_stop(deployment=row, actor=actor)
        )

    @admin.action(description="Restart")
    def restart(self, request: HttpRequest, chosen: QuerySet[Deployment]) -> None:
        actor = actor_of(request)
        act_on_each(
            self,
            request,
            chosen,
            "being restarted",
            lambda row: services.deployment_restart(deployment=row, actor=actor),
        )
