"""Personal access tokens over the API."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from accounts.credentials import SCOPES
from accounts.models import PersonalAccessToken
from accounts.services.tokens import MAX_NAME


class AwareDateTimeField(serializers.DateTimeField):
    """A time that says its zone: one without would be taken for the server's."""

    def enforce_timezone(self, value: datetime) -> datetime:
        if timezone.is_naive(value):
            raise serializers.ValidationError("Say the time zone too, such as 2030-01-31T12:00:00Z.")
        return super().enforce_timezone(value)  # type: ignore[no-any-return, misc]


class PersonalAccessTokenSerializer(serializers.ModelSerializer[PersonalAccessToken]):
    organization = serializers.UUIDField(source="organisation_id", allow_null=True, read_only=True)
    scopes = serializers.ListField(child=serializers.ChoiceField(list(SCOPES)), read_only=True)

    class Meta:
        model = PersonalAccessToken
        fields = [
            "id",
            "name",
            "hint",
            "scopes",
            "organization",
            "created_at",
            "expires_at",
            "last_used_at",
            "last_used_address",
        ]
        read_only_fields = fields


class PersonalAccessTokenPageSerializer(serializers.Serializer[Any]):
    results = PersonalAccessTokenSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class PersonalAccessTokenCreateSerializer(serializers.Serializer[None]):
    name = serializers.CharField(max_length=MAX_NAME)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(list(SCOPES)),
        required=False,
        allow_empty=False,
        max_length=20,
        help_text="What the token is limited to. By default read, write and models.",
    )
    expires_at = AwareDateTimeField(required=False, allow_null=True, help_text="Null for never; at most ten years.")
    organization = serializers.UUIDField(
        required=False, allow_null=True, help_text="The only organisation that the token opens; null for all of yours."
    )


class PersonalAccessTokenCreatedSerializer(PersonalAccessTokenSerializer):
    token = serializers.CharField(read_only=True, help_text="Told this once.")

    class Meta(PersonalAccessTokenSerializer.Meta):
        fields = [*PersonalAccessTokenSerializer.Meta.fields, "token"]
        read_only_fields = fields
