"""The administrators' view of apps and deployments. What happened is read; what runs can be stopped and restarted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin

from deployments import services
from deployments.models import App, Deployment, Release
from platform_site.lib.errors import StewardError


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Rows that people do not write; they come from services."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


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
        try:
            url = reverse("admin:runs_run_change", args=[deployment.run_id])
        except NoReverseMatch:
            url = reverse("runs:run", args=[deployment.run_id])
        return format_html('<a href="{}">{}</a>', url, deployment.run_id)

    @admin.action(description="Stop")
    def stop(self, request: HttpRequest, chosen: QuerySet[Deployment]) -> None:
        self._each(request, chosen, services.deployment_stop, "is being stopped")

    @admin.action(description="Restart")
    def restart(self, request: HttpRequest, chosen: QuerySet[Deployment]) -> None:
        self._each(request, chosen, services.deployment_restart, "is being restarted")

    def _each(
        self, request: HttpRequest, chosen: QuerySet[Deployment], service: Callable[..., Deployment], what: str
    ) -> None:
        for deployment in chosen:
            try:
                service(deployment=deployment, actor=request.user)
            except StewardError as error:
                self.message_user(request, f"{deployment}: {error.detail}", messages.WARNING)
            else:
                self.message_user(request, f"{deployment} {what}.", messages.SUCCESS)
