"""The audit trail as the API answers it."""

from __future__ import annotations

from rest_framework import serializers

from accounts.models import AuditEntry


class ActorSerializer(serializers.Serializer[AuditEntry]):
    id = serializers.UUIDField(source="actor_id", allow_null=True)
    email = serializers.CharField(source="actor_email")


class TargetSerializer(serializers.Serializer[AuditEntry]):
    type = serializers.CharField(source="target_type")
    id = serializers.CharField(source="target_id")
    name = serializers.CharField(source="target_name")


class AuditEntrySerializer(serializers.ModelSerializer[AuditEntry]):
    organization_id = serializers.UUIDField(source="organisation_id", allow_null=True)
    actor = ActorSerializer(source="*", help_text="Nobody, where the platform itself acted.")
    target = TargetSerializer(source="*")
    changes = serializers.DictField(help_text="By field: what it was before, and after.")

    class Meta:
        model = AuditEntry
        fields = [
            "id",
            "at",
            "organization_id",
            "actor",
            "action",
            "target",
            "changes",
            "address",
            "user_agent",
            "credential",
            "request_id",
        ]
        read_only_fields = fields


class AuditPageSerializer(serializers.Serializer[None]):
    results = AuditEntrySerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True)
