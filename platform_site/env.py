"""Reads the environment: the only source of configuration.

Every variable `NAME` may also be given as `NAME_FILE`, the path of a file that holds the value (for mounted secrets).
Every variable read here is listed, with its default, in `.env.example`; a test compares the two.
"""

from __future__ import annotations

import ipaddress
import os
import re
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

MIN_SECRET_BYTES = 32
MIN_DIFFERENT_CHARACTERS = 8
PLACEHOLDERS = re.compile(
    r"django-insecure|change[-_ ]?me|replace[-_ ]?me|placeholder|your[-_ ](?:secret|key|own)|[<>{}]"
    r"|^(?:secret|password|test)",
    re.IGNORECASE,
)

VAR_DIR = Path(env.str("STEWARD_VAR_DIR", str(BASE_DIR / "var"))).resolve()
PRODUCTION = env.str("STEWARD_MODE", "embedded") == "production"


def kept_secret(name: str, *, generate: str = "text") -> str:
    """The secret `name` from the environment; embedded installations keep a generated one in their data folder.

    Args:
        name: the environment variable.
        generate: `text` for 64 random characters, `fernet` for a Fernet key.

    Raises:
        ImproperlyConfigured: in production, where a secret must be given and shared by all processes, and be one that
            nobody guesses. Wherever it is, an encryption key must be a Fernet key.
    """
    value: str = env.str(name, "")
    if value:
        check_secret(name, value, is_fernet=generate == "fernet")
        return value
    if PRODUCTION:
        raise ImproperlyConfigured(f"{name} (or {name}_FILE) must be set when STEWARD_MODE is production.")
    return _generated_once(VAR_DIR / "secrets" / name.lower(), generate=generate)


def check_secret(name: str, value: str, *, is_fernet: bool) -> None:
    """Refuses a secret that is none.

    Raises:
        ImproperlyConfigured: naming the variable and what is wrong, never the value.
    """
    for key in value.split(",") if is_fernet else []:
        try:
            Fernet(key)
        except ValueError:  # the library's message may quote the key
            raise ImproperlyConfigured(f"{name} must hold Fernet keys, separated by commas; one is none.") from None
    if PRODUCTION and (problem := _weakness(value)):
        raise ImproperlyConfigured(f"{name} cannot be used in production: {problem}. See docs/runbooks/production.md.")


def _weakness(value: str) -> str | None:
    if len(value.encode()) < MIN_SECRET_BYTES:
        return f"it is shorter than {MIN_SECRET_BYTES} bytes"
    if PLACEHOLDERS.search(value):
        return "it is a placeholder"
    if len(set(value)) < MIN_DIFFERENT_CHARACTERS:
        return "it repeats a few characters"
    return None


def check_different(**values: str) -> None:
    """Refuses one value for two secrets: whoever learned the one would have the other.

    Raises:
        ImproperlyConfigured: in production, naming the variables.
    """
    if PRODUCTION and len(set(values.values())) < len(values):
        raise ImproperlyConfigured(f"{' and '.join(values)} must differ from each other.")


def networks(name: str) -> list[str]:
    """Addresses and networks, separated by commas, as one writes them: `10.0.0.0/8`, `2001:db8::1`.

    Raises:
        ImproperlyConfigured: one of them is neither. `*` is none: it would believe everybody.
    """
    found = [entry.strip() for entry in env.list(name, default=[]) if entry.strip()]
    try:
        return [str(ipaddress.ip_network(entry) if "/" in entry else ipaddress.ip_address(entry)) for entry in found]
    except ValueError as exc:
        raise ImproperlyConfigured(f"{name}: {exc}") from exc


def origins(name: str) -> list[str]:
    """Origins of other sites, separated by commas: `https://app.example` or `https://app.example:8443`.

    Raises:
        ImproperlyConfigured: one is none. `*` and `null` are none: they stand for sites that nobody named.
    """
    found = [entry.strip().lower() for entry in env.list(name, default=[]) if entry.strip()]
    for entry in found:
        if not re.fullmatch(r"https?://[a-z0-9._-]+(?::\d{1,5})?|https?://\[[0-9a-f:.]+\](?::\d{1,5})?", entry):
            raise ImproperlyConfigured(f"{name}: {entry!r} is not an origin such as https://app.example.")
    return found


def rate(name: str, default: str) -> str:
    """A limit such as `20/min` or `10/15m`.

    Raises:
        ImproperlyConfigured: it is not one.
    """
    value: str = env.str(name, default)
    if not re.fullmatch(r"[1-9]\d{0,8}/(?:[1-9]\d{0,3})?(?:s|m|h|d|sec|min|hour|day|second|minute)", value):
        raise ImproperlyConfigured(f"{name} must be a rate such as 20/min, 10/15m or 100/hour.")
    return value


def path_prefix(name: str, default: str) -> str:
    """A part of the site's address such as `admin/`: no slash before it, one after it.

    Raises:
        ImproperlyConfigured: it is empty or holds more than letters, digits, `-`, `_` and single slashes.
    """
    value: str = env.str(name, default).strip("/") + "/"
    if not re.fullmatch(r"(?:[A-Za-z0-9][A-Za-z0-9_-]*/)+", value):
        raise ImproperlyConfigured(f"{name} must be a path such as {default} of letters, digits, - and _.")
    return value


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
