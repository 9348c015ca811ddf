"""Documents live behind the alias `documents` where one is configured, else in the default database."""

from __future__ import annotations

from typing import Any

from django.conf import settings

DOCUMENT_MODELS = {"runs.eventchunk"}


def documents_alias() -> str:
    return "documents" if "documents" in settings.DATABASES else "default"


class DocumentRouter:
    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return documents_alias() if model._meta.label_lower in DOCUMENT_MODELS else None

    db_for_write = db_for_read

    def allow_relation(self, obj1: Any, obj2: Any, **hints: Any) -> bool | None:
        return None

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool | None:
        is_document = f"{app_label}.{model_name}" in DOCUMENT_MODELS
        if is_document:
            return db == documents_alias()
        return False if db == "documents" else None
