"""The session engine: Django's database sessions, with whose they are, from where and since when."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore
from django.utils import timezone

from accounts.models import Session
from platform_site.lib import origin

METHOD_KEY = "sign_in_method"
SECOND_FACTOR_KEY = "second_factor_at"
SEEN_EVERY = timedelta(minutes=5)


class SessionStore(DatabaseSessionStore):
    """Keeps the user, the method of sign-in and the second factor in columns of their own, for lists and for ending."""

    row: Session | None = None

    @classmethod
    def get_model_class(cls) -> type[Session]:  # type: ignore[override]
        return Session

    def _get_session_from_db(self) -> Session | None:
        self.row = super()._get_session_from_db()  # type: ignore[misc]
        return self.row

    def create_model_instance(self, data: dict[str, Any]) -> Session:  # type: ignore[override]
        row: Session = super().create_model_instance(data)  # type: ignore[assignment]
        came_from = origin.current.get()
        row.user_id = uuid.UUID(str(data[SESSION_KEY])) if data.get(SESSION_KEY) else None
        row.method = str(data.get(METHOD_KEY, ""))
        row.second_factor = bool(data.get(SECOND_FACTOR_KEY))
        row.address, row.user_agent = came_from.address[:45], came_from.user_agent
        return row

    @property
    def public_id(self) -> uuid.UUID | None:
        """The id by which people see this session; None for one that is not stored."""
        if self.row is None and self.session_key:
            self.row = Session.objects.filter(session_key=self.session_key).first()
        return self.row.public_id if self.row else None

    def touch(self) -> None:
        """Notes that the session is in use, at most every few minutes."""
        now = timezone.now()
        if self.row is not None and now - self.row.last_seen_at > SEEN_EVERY:
            address = origin.current.get().address[:45]
            Session.objects.filter(pk=self.row.pk).update(last_seen_at=now, address=address)
