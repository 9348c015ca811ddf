"""The engine: a connection that knows behind which organisation's wall the server stands, and moves it when needed.

The wall is a role without rights of its own over the platform's rows and the id of one organisation, both settings of
the PostgreSQL session; `accounts.row_security` ties policies to them. One round trip changes both, and only when the
scope changed. What a connection cannot be sure of, after a rollback or fresh from the pool, it sets again.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS
from django.db.backends.postgresql import base
from django.db.backends.postgresql.psycopg_any import register_tzloader
from psycopg.pq import Format, TransactionStatus

from accounts import tenancy
from accounts.postgresql.cursors import WalledCursor, WalledServerSideCursor

ROLE = "steward_tenant"
SET_WALL = "SELECT set_config('role', %s, false), set_config('steward.organisation', %s, false)"
UNKNOWN = object()
DjangoWrapper: Any = base.DatabaseWrapper  # the type stubs leave out what it inherits


class DatabaseWrapper(DjangoWrapper):
    """Django's PostgreSQL connection behind the wall of `accounts.tenancy`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wall: Any = UNKNOWN

    # --- The wall -------------------------------------------------------------------------------------------------
    @property
    def wall_now(self) -> Any:
        """What the server's session is set to: an organisation's id, "" for none, None without a wall."""
        return self._wall

    def put_wall(self, wall: Any = UNKNOWN) -> None:
        """Makes the server's session agree with the open scope, or with `wall`.

        Raises:
            psycopg.OperationalError: the role of the wall is not there; nothing is read without it.
        """
        wanted = tenancy.wall.get() if wall is UNKNOWN else wall
        if wanted == self._wall or self.alias != DEFAULT_DB_ALIAS:
            return
        if self.connection.info.transaction_status == TransactionStatus.INERROR:
            return  # the server takes nothing but the rollback, which must not fail here
        self._wall = UNKNOWN
        self._set_wall(wanted)
        self._wall = wanted

    def _set_wall(self, wall: str | None) -> None:
        platform = self.settings_dict["OPTIONS"].get("assume_role", "none")
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(SET_WALL, [platform if wall is None else ROLE, wall or ""])
        except psycopg.errors.InvalidParameterValue as exc:
            raise psycopg.OperationalError(f"The role {ROLE} is missing: run `manage.py migrate`.") from exc

    # --- Where statements run ---------------------------------------------------------------------------------------
    def get_connection_params(self) -> dict[str, Any]:
        return super().get_connection_params() | {"cursor_factory": WalledCursor}

    def create_cursor(self, name: str | None = None) -> Any:
        cursor = self._named_cursor(name) if name else super().create_cursor()
        cursor.database = self
        return cursor

    def _named_cursor(self, name: str) -> WalledServerSideCursor:
        """As Django makes it, of our class."""
        connection = self.connection
        cursor = WalledServerSideCursor(connection, name=name, scrollable=False, withhold=connection.autocommit)
        if self.timezone != connection.adapters.get_loader(base.TIMESTAMPTZ_OID, Format.TEXT).timezone:
            register_tzloader(self.timezone, cursor)
        return cursor

    # --- Where the server forgets -----------------------------------------------------------------------------------
    # A rollback undoes what the transaction set, and a connection from the pool had another user before.
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        self._wall = UNKNOWN
        return super().get_new_connection(conn_params)

    def _close(self) -> None:
        self._wall = UNKNOWN
        super()._close()

    def _rollback(self) -> None:
        self._wall = UNKNOWN
        super()._rollback()

    def _savepoint_rollback(self, sid: str) -> None:
        try:
            super()._savepoint_rollback(sid)
        finally:
            self._wall = UNKNOWN

    def _commit(self) -> None:
        # Whoever swallowed an error in a transaction commits a rollback.
        kept = self.connection is not None and self.connection.info.transaction_status != TransactionStatus.INERROR
        wall, self._wall = self._wall, UNKNOWN
        super()._commit()
        if kept:
            self._wall = wall
