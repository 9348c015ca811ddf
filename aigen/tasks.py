"""The kinds of work of this room."""

from __future__ import annotations

from typing import Any

from aigen.models import Generation
from aigen.services import generation_follow_run
from runs.context import RunContext
from runs.kinds import run_kind


@run_kind("aigen.generate", label="Code generation", idempotent=True, on_change=generation_follow_run)
def generate(context: RunContext) -> dict[str, Any]:
    """Writes the application that the run's generation describes."""
    from aigen.generation import Generator  # parsers and prompts load with the first generation, not with every command

    return Generator(context, Generation.objects.get(run_id=context.run.pk)).execute()
