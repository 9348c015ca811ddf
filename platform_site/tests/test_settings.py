"""Configuration: the environment only, every variable documented, production refuses to start without secrets."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from platform_site.env import BASE_DIR, RecordingEnv

# Read by `manage.py up` as defaults of its options.
COMMAND_LINE = {"HOST", "PORT"}


def test_every_variable_that_is_read_is_documented():
    documented = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (BASE_DIR / ".env.example").read_text(), re.MULTILINE))
    assert RecordingEnv.asked | COMMAND_LINE == documented


def run_check(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=BASE_DIR,
        env={"PATH": os.environ["PATH"], "LOG_LEVEL": "CRITICAL", "STEWARD_MODE": "production", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_production_refuses_to_start_without_secrets(tmp_path):
    refused = run_check(STEWARD_VAR_DIR=str(tmp_path))
    assert refused.returncode != 0
    assert "SECRET_KEY (or SECRET_KEY_FILE) must be set" in refused.stderr


def test_production_settings_pass_the_deployment_check(tmp_path):
    key = tmp_path / "secret"
    key.write_text("a-long-random-value-" * 4)
    checked = run_check(
        STEWARD_VAR_DIR=str(tmp_path),
        SECRET_KEY_FILE=str(key),
        JWT_SECRET="another-long-random-value-" * 3,
        ENCRYPTION_KEYS="T0kZTm1rQ0pJd1J4b2h0ZVZ2bXpXdE5xYUxzR2pVcFk=",
        ALLOWED_HOSTS="steward.example",
        DATABASE_URL="postgres://steward:x@db.example:5432/steward",
        REDIS_URL="redis://cache.example:6379/0",
        SITE_URL="https://steward.example",
        EMAIL_URL="smtp+tls://steward:x@mail.example:587",
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("name", ["SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEYS"])
def test_generated_secrets_are_readable_by_their_owner_only(name):
    from platform_site.env import VAR_DIR

    kept = VAR_DIR / "secrets" / name.lower()
    assert kept.stat().st_mode & 0o077 == 0
    assert len(kept.read_text()) >= 40
