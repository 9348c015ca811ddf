"""WebSocket `/ws/runs/{id}?after=N`: the same events as SSE, in frames of many."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from accounts.sockets import socket_scope
from accounts.standing import viewing_of_socket
from platform_site.lib.errors import InvalidRequest, NotFound, StewardError
from runs.events import Frame
from runs.models import Run
from runs.sse import parse_after
from runs.tail import End, tail_run

ENDED, TRY_AGAIN = 1000, 1012
"""Close codes of RFC 6455 and its registry: the log is complete; this server ends the connection, come back."""
BAD_REQUEST, NOT_AUTHENTICATED, NOT_FOUND = 4400, 4401, 4404
"""Close codes: 4000 and the HTTP status, as the private range of RFC 6455, section 7.4.2, allows. 4401 also ends an
open socket whose viewer may not see the run any more."""


class RunConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Sends the events of one run. What a viewer sends is ignored."""

    kwarg = "run_id"
    _sender: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        try:
            run_id = await self.find_run()
            after = parse_after(parse_qs(self.scope["query_string"].decode("latin-1")).get("after", ["0"])[0])
        except StewardError as exc:
            await self._refuse(exc)
            return
        await self.accept()
        self._sender = asyncio.create_task(self._send_events(run_id, after))

    async def find_run(self) -> uuid.UUID:
        """The run that this socket's path names, in the viewer's organisation."""
        named: uuid.UUID = self.scope["url_route"]["kwargs"][self.kwarg]
        found: uuid.UUID = await database_sync_to_async(self._find_run)(named)
        return found

    def _find_run(self, run_id: uuid.UUID) -> uuid.UUID:
        with socket_scope(self.scope):
            run = Run.objects.filter(pk=run_id).only("pk").first()
        if run is None:
            raise NotFound("There is no such run.")
        return uuid.UUID(str(run.pk))

    async def _refuse(self, error: StewardError) -> None:
        """Accepts only to close with a code: a refused handshake tells a browser nothing."""
        await self.accept()
        await self.send(json.dumps({"error": error.title, "detail": error.detail, "status_code": error.status_code}))
        await self.close(code=BAD_REQUEST if isinstance(error, InvalidRequest) else 4000 + error.status_code)

    async def _send_events(self, run_id: uuid.UUID, after: int) -> None:
        viewing = viewing_of_socket(self.scope)
        async for item in tail_run(run_id, after, viewing):
            if isinstance(item, Frame):
                await self.send(item.socket_message)
            elif isinstance(item, End):
                await self.send(json.dumps({"end": {"state": item.state, "last_seq": item.last_seq}}))
                await self.close(code=ENDED)
                return
        await self.close(code=NOT_AUTHENTICATED if viewing.is_lost else TRY_AGAIN)

    async def disconnect(self, code: int) -> None:
        if self._sender is not None:
            self._sender.cancel()

    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        return None
