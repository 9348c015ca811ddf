"""What the deployments API takes and answers."""

from __future__ import annotations

from rest_framework import serializers

from deployments.models import App, Deployment, Release
from runs.serializers import EventSerializer

BASE = "/api/v1"
ACTIONS = ("cancel", "stop", "restart", "rollback")


class DeploySerializer(serializers.Serializer[None]):
    generation_id = serializers.UUIDField()
    name = serializers.CharField(max_length=80, trim_whitespace=False)
    target = serializers.CharField(max_length=20, default="process")
    accept_unverified = serializers.BooleanField(default=False, help_text="Deploy although its tests could not run.")


class AppReferenceSerializer(serializers.ModelSerializer[App]):
    class Meta:
        model = App
        fields = ["id", "name", "slug"]
        read_only_fields = fields


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    class Meta:
        model = Release
        fields = ["id", "number", "language", "generation", "archive_sha256", "created_at"]
        read_only_fields = fields


class DeploymentSerializer(serializers.ModelSerializer[Deployment]):
    app = AppReferenceSerializer(read_only=True)
    release = ReleaseSerializer(read_only=True)
    url = serializers.CharField(read_only=True, help_text="Where the application answers; empty while it does not.")
    run_id = serializers.UUIDField(read_only=True, allow_null=True)
    links = serializers.SerializerMethodField()

    class Meta:
        model = Deployment
        fields = [
            "id",
            "app",
            "release",
            "status",
            "reason",
            "target",
            "url",
            "run_id",
            "created_at",
            "live_at",
            "stopped_at",
            "links",
        ]
        read_only_fields = fields

    def get_links(self, deployment: Deployment) -> dict[str, str]:
        base = f"{BASE}/deployments/{deployment.pk}"
        links = {"self": base, "logs": f"{base}/logs", "stream": f"{base}/logs/stream"}
        return links | {"download": f"{base}/logs/download"} | {action: f"{base}/{action}" for action in ACTIONS}


class AppSerializer(serializers.ModelSerializer[App]):
    """An app with its current deployment: the newest active one, else the newest."""

    deployment = DeploymentSerializer(read_only=True, allow_null=True)
    links = serializers.SerializerMethodField()

    class Meta:
        model = App
        fields = ["id", "name", "slug", "created_at", "deployment", "links"]
        read_only_fields = fields

    def get_links(self, app: App) -> dict[str, str]:
        return {"self": f"{BASE}/apps/{app.pk}", "deployments": f"{BASE}/deployments?app={app.pk}"}


class AppDetailSerializer(AppSerializer):
    releases = ReleaseSerializer(many=True, read_only=True, source="newest_releases")

    class Meta(AppSerializer.Meta):
        fields = [*AppSerializer.Meta.fields, "releases"]
        read_only_fields = fields


class AppPageSerializer(serializers.Serializer[None]):
    results = AppSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class DeploymentPageSerializer(serializers.Serializer[None]):
    results = DeploymentSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class LogEventSerializer(EventSerializer):
    level = serializers.ChoiceField(choices=["debug", "info", "warning", "error"])


class LogPageSerializer(serializers.Serializer[None]):
    events = LogEventSerializer(many=True)
    last_seq = serializers.IntegerField(help_text="How far the log reaches.")
    next_after = serializers.IntegerField(help_text="Ask for what follows with `?after=`, until it is `last_seq`.")
    state = serializers.CharField(help_text="The state of the deployment's run.")
