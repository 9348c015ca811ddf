"""What the AI API takes and answers."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from aigen.models import Attempt, GeneratedFile, Generation
from aigen.services import generation_files


class StrictBooleanField(serializers.BooleanField):
    """true or false, and nothing that merely resembles them."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("Must be true or false.")
        return data


class StrictCharField(serializers.CharField):
    """Text, and no number that could be read as text."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("Must be text.")
        return super().to_internal_value(data)


class GenerateSerializer(serializers.Serializer[None]):
    """The request; lengths, languages and models are judged by the service, in one place for all doors."""

    prompt = StrictCharField(max_length=100_000, help_text="10 to 2,000 characters: what the application should do.")
    programming_language = StrictCharField(max_length=40, help_text="For example python, javascript or html.")
    include_tests = StrictBooleanField(default=True)
    include_docs = StrictBooleanField(default=True)
    model = StrictCharField(
        max_length=240, required=False, allow_null=True, help_text="By default the first configured."
    )


class FileSerializer(serializers.ModelSerializer[GeneratedFile]):
    class Meta:
        model = GeneratedFile
        fields = ["path", "language", "role", "size", "content"]


class AttemptSerializer(serializers.ModelSerializer[Attempt]):
    class Meta:
        model = Attempt
        fields = [
            "number",
            "purpose",
            "verdict",
            "summary",
            "findings",
            "test_command",
            "test_exit_code",
            "test_output",
            "input_tokens",
            "output_tokens",
            "tokens_estimated",
            "cost",
            "model_seconds",
            "check_seconds",
            "test_seconds",
        ]


class GenerationSummarySerializer(serializers.ModelSerializer[Generation]):
    links = serializers.SerializerMethodField()

    class Meta:
        model = Generation
        fields = ["id", "title", "status", "reason", "language", "model", "created_at", "links"]

    def get_links(self, generation: Generation) -> dict[str, str]:
        base = f"/api/v1/generations/{generation.pk}"
        return {
            "self": base,
            "files": f"{base}/files",
            "archive": f"{base}/archive",
            "run": f"/api/v1/runs/{generation.run_id}",
            "events": f"/api/v1/runs/{generation.run_id}/events",
            "page": f"/studio/{generation.pk}",
        }


class GenerationSerializer(GenerationSummarySerializer):
    """The whole outcome: `code`, `tests` and `documentation` are the files joined by role, `files` has them apart."""

    run_id = serializers.UUIDField(read_only=True, allow_null=True)
    code = serializers.CharField()
    files = FileSerializer(many=True)
    tests = serializers.CharField()
    documentation = serializers.CharField()
    attempts = AttemptSerializer(many=True)
    metrics = serializers.DictField()
    usage = serializers.DictField()

    class Meta(GenerationSummarySerializer.Meta):
        fields = [
            *GenerationSummarySerializer.Meta.fields,
            "run_id",
            "prompt",
            "include_tests",
            "include_docs",
            "code",
            "files",
            "tests",
            "documentation",
            "attempts",
            "metrics",
            "usage",
        ]

    def to_representation(self, instance: Generation) -> dict[str, Any]:
        files, attempts = generation_files(instance), list(instance.attempts.all())
        for name, value in {
            "files": files,
            "code": joined(files, "code"),
            "tests": joined(files, "test"),
            "documentation": joined(files, "docs"),
            "metrics": metrics_of(files, attempts),
            "usage": usage_of(attempts),
        }.items():
            setattr(instance, name, value)
        return super().to_representation(instance)


def joined(files: list[GeneratedFile], role: str) -> str:
    """The files of one role as one text; more than one are told apart by their paths."""
    chosen = [file for file in files if file.role == role]
    if len(chosen) == 1:
        return chosen[0].content
    return "\n".join(f"=== {file.path} ===\n{file.content}" for file in chosen)


def metrics_of(files: list[GeneratedFile], attempts: list[Attempt]) -> dict[str, Any]:
    return {
        "files": len(files),
        "lines": sum(file.content.count("\n") for file in files),
        "bytes": sum(file.size for file in files),
        "attempts": len(attempts),
        "repairs": sum(attempt.purpose == "repair" for attempt in attempts),
        "model_seconds": round(sum(attempt.model_seconds for attempt in attempts), 3),
        "check_seconds": round(sum(attempt.check_seconds for attempt in attempts), 3),
        "test_seconds": round(sum(attempt.test_seconds for attempt in attempts), 3),
    }


def usage_of(attempts: list[Attempt]) -> dict[str, Any]:
    priced = [attempt.cost for attempt in attempts if attempt.cost is not None]
    return {
        "input_tokens": sum(attempt.input_tokens for attempt in attempts),
        "output_tokens": sum(attempt.output_tokens for attempt in attempts),
        "estimated": any(attempt.tokens_estimated for attempt in attempts),
        "cost_usd": str(sum(priced)) if len(priced) == len(attempts) and attempts else None,
    }
