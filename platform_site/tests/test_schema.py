"""The OpenAPI schema that is committed is the one that the code describes."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from drf_spectacular.drainage import GENERATOR_STATS

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"


@pytest.fixture
def fresh_schema(tmp_path):
    """The schema, written now as `make schema` does; warnings are counted from zero."""
    GENERATOR_STATS.reset()
    path = tmp_path / "openapi.yaml"
    call_command("spectacular", file=str(path))
    return path.read_text()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the schema names the number ranges of the embedded database")
def test_committed_schema_is_fresh(fresh_schema):
    assert fresh_schema == COMMITTED.read_text(), "Run `make schema` and commit docs/openapi.yaml."


def test_schema_is_generated_without_warnings(fresh_schema):
    assert not GENERATOR_STATS, GENERATOR_STATS.emit_summary()


def test_schema_describes_the_main_job(fresh_schema):
    for path in ("/api/v1/auth/signup:", "/api/v1/generate:", "/api/v1/deployments:", "/api/v1/runs/{run_id}/events:"):
        assert f"  {path}" in fresh_schema
