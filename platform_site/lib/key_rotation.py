"""Moves what is stored encrypted to the first key of the ring, so that older keys can be thrown away.

Safe beside a running installation: a row is written only if it still holds what was read, and a second turn takes up
where the first one was cut off, as it passes over what is done.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from django.apps import apps
from django.db import models
from django.db.models import F, TextField, Value
from django.db.models.functions import Cast

from platform_site.lib.errors import StewardError
from platform_site.lib.secrets import EncryptedTextField, decrypt, encrypt, encryption_keys, is_current

BATCH = 200


@dataclass
class Rotation:
    """What became of one column: how many values it holds, how many were moved, how many still use older keys, and
    the primary keys of those that no key opens."""

    label: str
    values: int = 0
    rotated: int = 0
    older: int = 0
    unreadable: list[str] = field(default_factory=list)


def columns() -> Iterator[tuple[type[models.Model], str]]:
    """Every encrypted column of the installation: model and field name."""
    for model in apps.get_models():
        for column in model._meta.local_concrete_fields:
            if isinstance(column, EncryptedTextField):
                yield model, column.name


def rotate(model: type[models.Model], name: str, *, progress: Callable[[Rotation], None] | None = None) -> Rotation:
    """Encrypts the values of one column under the first key, `BATCH` rows at a time.

    Args:
        progress: called after each batch.
    """
    result = Rotation(f"{model._meta.label}.{name}")
    for batch in _batches(model, name):
        for pk, stored in batch:
            result.values += 1
            if not is_current(stored):
                _rotate_one(model, name, pk, stored, result)
        if progress is not None:
            progress(result)
    again = (row for batch in _batches(model, name) for row in batch)
    result.older = sum(not is_current(stored) and str(pk) not in result.unreadable for pk, stored in again)
    return result


def _rotate_one(model: type[models.Model], name: str, pk: Any, stored: str, result: Rotation) -> None:
    try:
        fresh = encrypt(decrypt(stored))
    except StewardError:
        result.unreadable.append(str(pk))
        return
    unchanged = _stored(model, name).filter(pk=pk, stored=stored)
    result.rotated += unchanged.update(**{name: Value(fresh, output_field=TextField())})


def _stored(model: type[models.Model], name: str) -> models.QuerySet[Any]:
    """All rows of all organisations, with the column as it is in the database."""
    return model._base_manager.annotate(stored=Cast(F(name), TextField())).exclude(stored="").exclude(stored=None)


def _batches(model: type[models.Model], name: str) -> Iterator[list[tuple[Any, str]]]:
    rows = _stored(model, name).order_by("pk").values_list("pk", "stored")
    batch = list(rows[:BATCH])
    while batch:
        yield batch
        batch = list(rows.filter(pk__gt=batch[-1][0])[:BATCH])


# --- The file that an embedded installation keeps its keys in -----------------------------------------------------
def key_add(path: Path) -> None:
    """Puts a new key in front of those in the file."""
    _write(path, [Fernet.generate_key().decode(), *encryption_keys()])


def keys_retire(path: Path) -> int:
    """Leaves only the first key in the file; answers how many were removed."""
    first, *older = encryption_keys()
    if older:
        _write(path, [first])
    return len(older)


def _write(path: Path, keys: list[str]) -> None:
    """Readers see the old file or the new one, also after a power cut."""
    draft = path.with_suffix(f".{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(",".join(keys))
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)
