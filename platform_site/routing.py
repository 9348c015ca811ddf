"""Every WebSocket route."""

from channels.generic.websocket import AsyncWebsocketConsumer
from django.urls import path, re_path

from deployments.consumers import DeploymentLogConsumer
from runs.consumers import RunConsumer


class UnknownSocket(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Answers sockets that nobody serves, instead of a traceback."""

    async def connect(self) -> None:
        await self.accept()
        await self.close(code=4404)


websocket_routes = [
    path("ws/runs/<uuid:run_id>", RunConsumer.as_asgi()),
    path("ws/deployments/<uuid:deployment_id>/logs", DeploymentLogConsumer.as_asgi()),
    re_path(r"^.*$", UnknownSocket.as_asgi()),
]
