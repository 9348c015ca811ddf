"""The one ASGI application: caps bodies, sends sockets to Channels and everything else to Django."""

from __future__ import annotations

import os
from typing import cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "platform_site.settings")

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from accounts.sockets import signed_in
from platform_site.lib.asgi import Application, capped_bodies
from platform_site.routing import websocket_routes

application = ProtocolTypeRouter(
    {
        "http": capped_bodies(cast(Application, django_application)),
        "websocket": signed_in(URLRouter(websocket_routes)),
    }
)
