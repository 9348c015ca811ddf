"""Cursors that put the database's wall where the code says it is, right before a statement runs.

Everything that reaches the server goes through here: the ORM, `connection.cursor()`, COPY, procedures and server-side
cursors. A cursor may live longer than the scope it was made in, so each statement looks again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.postgresql import base

# The type stubs know neither psycopg 3 nor what its cursors can do.
Cursor: Any = base.Cursor
ServerSideCursor: Any = base.ServerSideCursor


class Walled:
    """What both kinds of cursor do before a statement. `database` is the engine's connection, None for its own use."""

    database: Any = None

    def put_wall(self) -> None:
        if self.database is not None:
            self.database.put_wall()

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        self.put_wall()
        return super().execute(*args, **kwargs)  # type: ignore[misc]


class WalledCursor(Walled, Cursor):
    """An ordinary cursor; a procedure call is an `execute`."""

    def executemany(self, *args: Any, **kwargs: Any) -> None:
        self.put_wall()
        super().executemany(*args, **kwargs)

    @contextmanager
    def copy(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        self.put_wall()
        with super().copy(*args, **kwargs) as copy:
            yield copy

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        self.put_wall()
        yield from super().stream(*args, **kwargs)


class WalledServerSideCursor(Walled, ServerSideCursor):
    """A cursor that the server keeps.

    PostgreSQL asks for the organisation whenever it computes more rows, so each fetch goes back to the wall that the
    cursor was opened behind: a scope that opens between two fetches would empty the rest of the result.
    """

    opened_behind: str | None = None

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        super().execute(*args, **kwargs)
        if self.database is not None:
            self.opened_behind = self.database.wall_now
        return self

    def _put_back(self) -> None:
        if self.database is not None:
            self.database.put_wall(self.opened_behind)

    def fetchone(self) -> Any:
        self._put_back()
        return super().fetchone()

    def fetchmany(self, size: int = 0) -> Any:
        self._put_back()
        return super().fetchmany(size)

    def fetchall(self) -> Any:
        self._put_back()
        return super().fetchall()

    def __next__(self) -> Any:
        self._put_back()
        return super().__next__()

    def scroll(self, value: int, mode: str = "relative") -> None:
        self._put_back()
        super().scroll(value, mode)
