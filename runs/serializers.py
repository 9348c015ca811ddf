"""What the runs API answers."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from runs.models import Run


class RunSerializer(serializers.ModelSerializer[Run]):
    links = serializers.SerializerMethodField()

    class Meta:
        model = Run
        fields = [
            "id",
            "kind",
            "title",
            "state",
            "reason",
            "attempt",
            "progress",
            "progress_label",
            "last_seq",
            "created_by",
            "created_at",
            "queued_at",
            "started_at",
            "finished_at",
            "result",
            "links",
        ]
        read_only_fields = fields

    def get_links(self, run: Run) -> dict[str, str]:
        base = f"/api/v1/runs/{run.pk}"
        return {"self": base, "events": f"{base}/events", "cancel": f"{base}/cancel", "retry": f"{base}/retry"}


class RunPageSerializer(serializers.Serializer[None]):
    results = RunSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class EventSerializer(serializers.Serializer[None]):
    seq = serializers.IntegerField()
    at = serializers.DateTimeField()
    kind = serializers.ChoiceField(choices=["line", "token", "state", "progress", "artifact"])
    stream = serializers.CharField()
    text = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        # `data` is an attribute of every serializer, so the field of this name is added here.
        return super().get_fields() | {"data": serializers.DictField(required=False)}


class EventPageSerializer(serializers.Serializer[None]):
    events = EventSerializer(many=True)
    last_seq = serializers.IntegerField(help_text="How far the log reaches.")
    next_after = serializers.IntegerField(help_text="Ask for what follows with `?after=`.")
    state = serializers.CharField(help_text="The run's state.")
