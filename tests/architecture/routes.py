"""Every HTTP route and WebSocket route, and who may do what there. A route without an entry fails the sweep.

The columns are answers to a member of the organisation that owns the world of `conftest.py`, and to a viewer of it.
Strangers, expired tokens and outsiders need no column: what they get follows from the kind of door.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver


class Door(Enum):
    """Who is let in, and what the others are told."""

    OPEN = "anybody"
    API = "people with a token; 401 for others"
    PAGE = "people who signed in; others are sent to the sign-in page"
    DEVICE = "appliances with their key; 401 for people too"
    ADMIN = "platform administrators; others are sent to the admin's sign-in page"


@dataclass(frozen=True)
class Use:
    """One method of a route: the body that is sent, and the status that a member and a viewer get."""

    member: int
    viewer: int
    body: dict[str, Any] | None = None


@dataclass(frozen=True)
class Route:
    door: Door
    uses: dict[str, Use] = field(default_factory=dict)


def read(status: int = 200) -> dict[str, Use]:
    return {"GET": Use(status, status)}


def write(member: int, body: dict[str, Any] | None = None, *, viewer: int = 403) -> dict[str, Use]:
    return {"POST": Use(member, viewer, body)}


def api(*uses: dict[str, Use]) -> Route:
    return Route(Door.API, {method: use for group in uses for method, use in group.items()})


def page(*uses: dict[str, Use]) -> Route:
    return Route(Door.PAGE, {method: use for group in uses for method, use in group.items()})


def door(*uses: dict[str, Use]) -> Route:
    return Route(Door.OPEN, {method: use for group in uses for method, use in group.items()})


GENERATE = {"prompt": "A function that adds two numbers", "programming_language": "python", "model": "builtin"}
STUDIO = {"prompt": "A function that adds two numbers", "language": "python", "model": "builtin"}
DEPLOY = {"generation_id": "{generation_id}", "name": "Counter"}

ROUTES: dict[str, Route] = {
    "": page(read()),
    "favicon.ico": door(read(301)),
    "health": door(read()),
    "health/ready": door(read()),
    "metrics": door(read()),
    "api/schema": door(read()),
    "api/docs": door(read()),
    # accounts
    "sign-in": door({"GET": Use(302, 302)}, write(400, {}, viewer=400)),
    "sign-out": door(write(302, viewer=302)),
    "organisation/switch": door(write(302, {"organisation": "{organisation_id}"}, viewer=302)),
    "api/v1/auth/signup": door(write(400, {}, viewer=400)),
    "api/v1/auth/login": door(write(400, {}, viewer=400)),
    "api/v1/auth/refresh": door(write(400, {}, viewer=400)),
    "api/v1/auth/logout": door(write(400, {}, viewer=400)),
    "api/v1/users/me": api(read(), {"PATCH": Use(200, 200, {"name": "New"})}),
    "api/v1/organizations": api(read()),
    "api/v1/organizations/<uuid:organisation_id>/members": api(read()),
    # observability
    "api/v1/health": api(read()),
    # runs
    "api/v1/runs": api(read()),
    "api/v1/runs/<uuid:run_id>": api(read()),
    "api/v1/runs/<uuid:run_id>/cancel": api(write(409)),
    "api/v1/runs/<uuid:run_id>/retry": api(write(202)),
    "api/v1/runs/<uuid:run_id>/events": api(read()),
    "runs": page(read()),
    "runs/<uuid:run_id>": page(read()),
    "runs/<uuid:run_id>/cancel": page(write(409)),
    "runs/<uuid:run_id>/retry": page(write(302)),
    # aigen
    "api/v1/generate": api(write(202, GENERATE)),
    "api/v1/generations": api(read()),
    "api/v1/generations/<uuid:generation_id>": api(read()),
    "api/v1/generations/<uuid:generation_id>/files": api(read()),
    "api/v1/generations/<uuid:generation_id>/archive": api(read()),
    "api/v1/languages": api(read()),
    "api/v1/models": api(read()),
    "studio": page(read(), write(302, STUDIO)),
    "studio/<uuid:generation_id>": page(read()),
    "studio/<uuid:generation_id>/panel": page(read()),
    "studio/<uuid:generation_id>/cancel": page(write(409)),
    "studio/<uuid:generation_id>/retry": page(write(302)),
    # conversations
    "api/v1/conversations": api(read(), write(201, {})),
    "api/v1/conversations/<uuid:conversation_id>": api(read()),
    "api/v1/conversations/<uuid:conversation_id>/messages": api(read(), write(202, {"message": "Hello"})),
    "api/v1/conversations/<uuid:conversation_id>/stop": api(write(409)),
    "conversations": page(read(), write(302, {"message": "Hello", "model": "builtin"})),
    "conversations/<uuid:conversation_id>": page(read(), write(302, {"message": "Hello"})),
    "conversations/<uuid:conversation_id>/stop": page(write(409)),
    # deployments
    "api/v1/apps": api(read()),
    "api/v1/apps/<uuid:app_id>": api(read()),
    "api/v1/deployments": api(read(), write(202, DEPLOY)),
    "api/v1/deployments/<uuid:deployment_id>": api(read()),
    "api/v1/deployments/<uuid:deployment_id>/cancel": api(write(409)),
    "api/v1/deployments/<uuid:deployment_id>/stop": api(write(409)),
    "api/v1/deployments/<uuid:deployment_id>/restart": api(write(202)),
    "api/v1/deployments/<uuid:deployment_id>/rollback": api(write(409)),
    "api/v1/deployments/<uuid:deployment_id>/logs": api(read()),
    "api/v1/deployments/<uuid:deployment_id>/logs/stream": api(read()),
    "api/v1/deployments/<uuid:deployment_id>/logs/download": api(read()),
    "studio/<uuid:generation_id>/deploy": page(write(302, {"name": "Counter"})),
    "apps": page(read()),
    "apps/<uuid:app_id>": page(read()),
    "apps/<uuid:app_id>/panel": page(read()),
    "deployments/<uuid:deployment_id>/stop": page(write(409)),
    "deployments/<uuid:deployment_id>/restart": page(write(302)),
    "deployments/<uuid:deployment_id>/cancel": page(write(409)),
    "deployments/<uuid:deployment_id>/rollback": page(write(409)),
    # appliances
    "api/v1/appliances": api(read(), write(403, {"name": "Attic"})),
    "api/v1/appliances/<uuid:appliance_id>": api(read()),
    "appliances": page(read(), write(403, {"name": "Attic"})),
    "appliances/<uuid:appliance_id>": page(read()),
    "api/v1/enroll": door(write(400, {}, viewer=400)),
    "api/v1/heartbeat": Route(Door.DEVICE, write(401, viewer=401)),
    "api/v1/appliance/<uuid:appliance_id>/config": Route(Door.DEVICE, read(401)),
}

ADMIN_DOORS = {"admin/login/", "admin/logout/", "admin/jsi18n/"}
"""What the admin shows to people who are not signed in there: its own sign-in, sign-out and a script without data."""

SOCKETS = {"ws/runs/<uuid:run_id>", "ws/deployments/<uuid:deployment_id>/logs", "^.*$"}


def http_routes() -> dict[str, URLPattern]:
    """Every pattern of the site by its full route."""
    return dict(_walk(get_resolver(), ""))


def _walk(resolver: URLResolver, before: str) -> list[tuple[str, URLPattern]]:
    found: list[tuple[str, URLPattern]] = []
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern)
        found += [(route, entry)] if isinstance(entry, URLPattern) else _walk(entry, route)
    return found


def entry_of(route: str) -> Route | None:
    """The table's entry; everything under `admin/` is for administrators unless it is named above."""
    if route.startswith("admin/"):
        return Route(Door.OPEN if route in ADMIN_DOORS else Door.ADMIN, read())
    return ROUTES.get(route)


def methods_of(pattern: URLPattern, route: str) -> list[str]:
    """The methods that a view may take: what a class says of itself, and all that make a difference for functions."""
    view = getattr(pattern.callback, "view_class", None) or getattr(pattern.callback, "cls", None)
    if view is not None and not route.startswith("admin/"):
        return [
            name.upper() for name in view.http_method_names if hasattr(view, name) and name not in ("options", "head")
        ]
    return ["GET", "POST"]
