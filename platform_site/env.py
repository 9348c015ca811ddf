"""Reads the environment: the only source of configuration.

Every variable `NAME` may also be given as `NAME_FILE`, the path of a file that holds the value (for mounted secrets).
Every variable read here is listed, with its default, in `.env.example`; a test compares the two.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


class RecordingEnv(environ.FileAwareEnv):  # type: ignore[misc]
    """An environment that remembers which variables were asked for, so that the documentation can be checked."""

    asked: set[str] = set()

    def get_value(self, var: str, *args: object, **kwargs: object) -> object:
        self.asked.add(var)
        return super().get_value(var, *args, **kwargs)


env = RecordingEnv()
if (BASE_DIR / ".env").is_file():
    environ.Env.read_env(BASE_DIR / ".env")

VAR_DIR = Path(env.str("STEWARD_VAR_DIR", str(BASE_DIR / "var"))).resolve()
PRODUCTION = env.str("STEWARD_MODE", "embedded") == "production"


def kept_secret(name: str, *, generate: str = "text") -> str:
    """The secret `name` from the environment; embedded installations keep a generated one in their data folder.

    Args:
        name: the environment variable.
        generate: `text` for 64 random characters, `fernet` for a Fernet key.

    Raises:
        ImproperlyConfigured: in production, where a secret must be given and shared by all processes.
    """
    value: str = env.str(name, "")
    if value:
        return value
    if PRODUCTION:
        raise ImproperlyConfigured(f"{name} (or {name}_FILE) must be set when STEWARD_MODE is production.")
    return _generated_once(VAR_DIR / "secrets" / name.lower(), generate=generate)


def _generated_once(path: Path, *, generate: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    value = Fernet.generate_key().decode() if generate == "fernet" else secrets.token_urlsafe(48)
    # Written aside and linked into place, so that two processes that start together agree on one value.
    draft = path.with_suffix(f".{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(value)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text().strip()
