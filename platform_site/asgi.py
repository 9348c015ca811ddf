"""The one ASGI application: who calls, what is received, then sockets to Channels and the rest to Django."""

from __future__ import annotations

import os
from typing import cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "platform_site.settings")

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from accounts.sockets import signed_in
from platform_site.lib.asgi import Application, behind_proxies, capped_bodies
from platform_site.routing import websocket_routes

application = behind_proxies(
    ProtocolTypeRouter(
        {
            "http": capped_bodies(cast(Application, django_application)),
            "websocket": signed_in(URLRouter(websocket_routes)),
        }
    )
)
