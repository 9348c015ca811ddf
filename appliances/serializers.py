"""What the appliances API takes and answers, people's part and devices' part."""

from __future__ import annotations

import math
import re
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from appliances.models import Appliance

MAX_METRICS = 64
MAX_NUMBER = 2**63
MAX_UPTIME_SECONDS = 100 * 365 * 86_400
METRIC_NAME = re.compile(r"[a-z][a-z0-9_.]{0,62}")


def is_number(value: object) -> bool:
    """Whether JSON said a finite number: no text that looks like one, no true or false, no 1e999."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER


@extend_schema_field({"type": "number", "minimum": 0})
class NumberField(serializers.Field[float, Any, float, Any]):
    """A JSON number from `0` to `maximum`."""

    def __init__(self, *, maximum: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._maximum = maximum

    def to_internal_value(self, data: Any) -> float:
        if not is_number(data) or not 0 <= data <= self._maximum:
            raise serializers.ValidationError(f"A number from 0 to {self._maximum}.")
        return float(data)

    def to_representation(self, value: float) -> float:
        return value


@extend_schema_field({"type": "object", "maxProperties": MAX_METRICS, "additionalProperties": {"type": "number"}})
class MetricsField(serializers.Field[dict[str, float], Any, dict[str, float], Any]):
    """A flat object of up to 64 names and numbers."""

    def to_internal_value(self, data: Any) -> dict[str, float]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("An object of names and numbers.")
        if len(data) > MAX_METRICS:
            raise serializers.ValidationError(f"At most {MAX_METRICS} metrics.")
        for name, value in data.items():
            if not METRIC_NAME.fullmatch(name):
                raise serializers.ValidationError("A metric's name is a-z, 0-9, `_` and `.`, up to 63 characters.")
            if not is_number(value) or not math.isfinite(value):
                raise serializers.ValidationError(f"The metric {name} is not a finite number.")
        return data

    def to_representation(self, value: dict[str, float]) -> dict[str, float]:
        return value


class ApplianceSerializer(serializers.ModelSerializer[Appliance]):
    state = serializers.CharField(read_only=True)
    links = serializers.SerializerMethodField()

    class Meta:
        model = Appliance
        fields = [
            "id",
            "name",
            "address",
            "state",
            "version",
            "config_version",
            "desired_version",
            "last_heartbeat_at",
            "enrolled_at",
            "enrolment_expires_at",
            "created_at",
            "links",
        ]
        read_only_fields = fields

    def get_links(self, appliance: Appliance) -> dict[str, str]:
        return {"self": f"/api/v1/appliances/{appliance.pk}"}


class AppliancePageSerializer(serializers.Serializer[None]):
    results = ApplianceSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class ApplianceCreateSerializer(serializers.Serializer[None]):
    name = serializers.CharField(max_length=80)
    address = serializers.CharField(max_length=253, required=False, allow_blank=True, default="")


class ApplianceCreatedSerializer(ApplianceSerializer):
    enrolment_code = serializers.CharField(read_only=True, help_text="Told this once; works once.")

    class Meta(ApplianceSerializer.Meta):
        fields = [*ApplianceSerializer.Meta.fields, "enrolment_code"]


class EnrollSerializer(serializers.Serializer[None]):
    code = serializers.CharField(max_length=64)


class EnrolledSerializer(serializers.Serializer[None]):
    appliance_id = serializers.UUIDField()
    key = serializers.CharField(help_text="The device's key, told this once.")


class HeartbeatSerializer(serializers.Serializer[None]):
    """A heartbeat. Fields that this version does not know are passed over, so that agents may be newer."""

    appliance_id = serializers.UUIDField()
    version = serializers.RegexField(r"\A[A-Za-z0-9][A-Za-z0-9._+~-]{0,39}\Z")
    uptime_seconds = NumberField(maximum=MAX_UPTIME_SECONDS)
    metrics = MetricsField(required=False, default=dict)
    config_version = serializers.IntegerField(
        min_value=0, max_value=2**31 - 1, required=False, allow_null=True, default=None
    )
    beat_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    measured_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class HeartbeatTakenSerializer(serializers.Serializer[None]):
    received_at = serializers.DateTimeField()
    config_version = serializers.IntegerField(help_text="The configuration the appliance should have.")
    pending_tasks = serializers.IntegerField(help_text="Tasks that wait for the appliance.")


class ConfigSerializer(serializers.Serializer[None]):
    version = serializers.IntegerField()
    config = serializers.DictField()
