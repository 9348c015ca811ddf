"""Every HTTP route and WebSocket route, and who may do what there. A route without an entry fails the sweep.

The columns are answers to a member of the organisation that owns the world of `conftest.py`, to a viewer of it and,
where they get another one than members, to its administrators and owners. Strangers, dead credentials and outsiders
need no column: what they get follows from the kind of door.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from django.conf import settings
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
    """One method of a route: the body that is sent, and the status that each role gets.

    Without a status of their own, administrators get what members get, and owners what administrators get; where
    members are refused (403), they get any other answer that is no failure.
    """

    member: int
    viewer: int
    body: dict[str, Any] | None = None
    administrator: int | None = None
    owner: int | None = None

    def fits(self, role: str, status: int) -> bool:
        """Whether `status` is what `role` gets."""
        if role in ("viewer", "member"):
            return status == (self.viewer if role == "viewer" else self.member)
        said = self.owner if role == "owner" and self.owner is not None else self.administrator
        if said is None and self.member == 403:
            return status != 403 and status < 500
        return status == (self.member if said is None else said)


@dataclass(frozen=True)
class Route:
    door: Door
    uses: dict[str, Use] = field(default_factory=dict)


def read(status: int = 200, **roles: int) -> dict[str, Use]:
    return {"GET": Use(status, status, None, **roles)}


def write(member: int, body: dict[str, Any] | None = None, *, viewer: int = 403, **roles: int) -> dict[str, Use]:
    return {"POST": Use(member, viewer, body, **roles)}


def api(*uses: dict[str, Use]) -> Route:
    return Route(Door.API, {method: use for group in uses for method, use in group.items()})


def page(*uses: dict[str, Use]) -> Route:
    return Route(Door.PAGE, {method: use for group in uses for method, use in group.items()})


def door(*uses: dict[str, Use]) -> Route:
    return Route(Door.OPEN, {method: use for group in uses for method, use in group.items()})


GENERATE = {"prompt": "A function that adds two numbers", "programming_language": "python", "model": "builtin"}
STUDIO = {"prompt": "A function that adds two numbers", "language": "python", "model": "builtin"}
TOKEN_FORM = {"name": "Laptop", "scopes": "read", "expires_in": "30"}
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
    "sign-up": door({"GET": Use(302, 302)}, write(400, {}, viewer=400)),
    "password/forgotten": door(read(), write(400, {}, viewer=400)),
    "password/reset/<str:token>": door(read(400), write(400, {}, viewer=400)),
    "verify-email/<str:token>": door(read(400), write(400, {}, viewer=400)),
    "account": page(read(), write(302, {"name": "New"}, viewer=302)),
    "account/email": page(write(400, viewer=400)),
    "account/verification": page(write(302, viewer=302)),
    "account/security": page(read()),
    "account/password": page(write(400, viewer=400)),
    "account/sessions": page(read()),
    "account/sessions/end-all": page(write(302, viewer=302)),
    "account/sessions/<uuid:session_id>/end": page(write(404, viewer=404)),
    "organisation/switch": door(write(302, {"organisation": "{organisation_id}"}, viewer=302)),
    "api/v1/auth/signup": door(write(400, {}, viewer=400)),
    "api/v1/auth/login": door(write(400, {}, viewer=400)),
    "api/v1/auth/refresh": door(write(400, {}, viewer=400)),
    "api/v1/auth/logout": door(write(400, {}, viewer=400)),
    "api/v1/auth/password/forgotten": door(write(400, {}, viewer=400)),
    "api/v1/auth/password/reset": door(write(400, {}, viewer=400)),
    "api/v1/users/me/password": api(write(400, viewer=400)),
    "api/v1/users/me/sessions": api(read(), {"DELETE": Use(204, 204)}),
    "api/v1/users/me/sessions/<uuid:session_id>": api({"DELETE": Use(404, 404)}),
    "api/v1/auth/token": door(write(400, {}, viewer=400)),
    "api/v1/auth/device": door(write(400, {}, viewer=400)),
    "device": page(read(), write(400, {"user_code": "BCDF-GHJK"}, viewer=400)),
    "api/v1/users/me": api(read(), {"PATCH": Use(200, 200, {"name": "New"})}),
    "api/v1/audit": api(read(403)),
    "api/v1/audit/export": api(read(403)),
    "organisation/audit": page(read(403)),
    "organisation/audit/export": page(read(403)),
    "organisation": page(read(), write(403, {"name": "New"})),
    "organisation/leave": page(write(302, viewer=302)),
    "organisation/close": page(write(403, {"name": "Wrong"}, administrator=403, owner=400)),
    "organisation/transfer": page(write(403, {"membership": "{membership_id}"}, administrator=403, owner=302)),
    "organisation/members": page(read()),
    "organisation/members/<uuid:membership_id>": page(write(403, {"role": "viewer"})),
    "organisation/members/<uuid:membership_id>/remove": page(write(403)),
    "organisation/invitations": page(write(403, {"email": "nora@home.example", "role": "member"})),
    "organisation/invitations/<uuid:invitation_id>/revoke": page(write(403)),
    "organisation/invitations/<uuid:invitation_id>/resend": page(write(403)),
    "organisations/new": page(read(), write(302, {"name": "New"}, viewer=302)),
    "organisations/<uuid:organisation_id>/reopen": page(write(404, viewer=404)),
    "invitations/<str:token>": door(read(404), write(404, viewer=404)),
    "api/v1/invitations/accept": api(write(404, {"token": "unknown"}, viewer=404)),
    "api/v1/organizations": api(read(), write(201, {"name": "New"}, viewer=201)),
    "api/v1/organizations/<uuid:organisation_id>": api(read(), {"PATCH": Use(403, 403, {"name": "New"})}),
    "api/v1/organizations/<uuid:organisation_id>/leave": api(write(204, viewer=204, owner=409)),
    "api/v1/organizations/<uuid:organisation_id>/transfer": api(
        write(403, {"membership": "{membership_id}"}, administrator=403, owner=200)
    ),
    "api/v1/organizations/<uuid:organisation_id>/close": api(
        write(403, {"name": "Acme"}, administrator=403, owner=200)
    ),
    "api/v1/organizations/<uuid:organisation_id>/reopen": api(write(404, viewer=404)),
    "api/v1/organizations/<uuid:organisation_id>/members": api(read()),
    "api/v1/organizations/<uuid:organisation_id>/members/<uuid:membership_id>": api(
        read(), {"PATCH": Use(403, 403, {"role": "viewer"}), "DELETE": Use(403, 403)}
    ),
    "api/v1/organizations/<uuid:organisation_id>/invitations": api(
        read(403), write(403, {"email": "nora@home.example", "role": "member"})
    ),
    "api/v1/organizations/<uuid:organisation_id>/invitations/<uuid:invitation_id>": api(
        read(403), {"DELETE": Use(403, 403)}
    ),
    "api/v1/organizations/<uuid:organisation_id>/invitations/<uuid:invitation_id>/resend": api(write(403)),
    # for platform administrators
    "api/v1/users": api(read(403, administrator=403), write(403, {"email": "nora@home.example"}, administrator=403)),
    "api/v1/users/<uuid:user_id>": api(
        read(403, administrator=403),
        {
            "PATCH": Use(403, 403, {"role": "administrator"}, administrator=403),
            "DELETE": Use(403, 403, administrator=403),
        },
    ),
    "sign-in/second-factor": door({"GET": Use(302, 302)}, write(302, {}, viewer=302)),
    "sign-in/oidc": door({"GET": Use(404, 404)}),
    "account/oidc/connect": page(read(404), write(404, viewer=404)),
    "account/oidc/<uuid:identity_id>/disconnect": page(write(404, viewer=404)),
    "api/v1/auth/oidc/login": door({"GET": Use(404, 404)}),
    "api/v1/auth/oidc/callback": door({"GET": Use(404, 404)}),
    "account/authenticator": page(read(), write(400, {"code": "000"}, viewer=400)),
    "account/authenticator/remove": page(write(409, {"code": "000"}, viewer=409)),
    "account/recovery-codes": page(write(409, {"code": "000"}, viewer=409)),
    "account/tokens": page(read(), write(201, TOKEN_FORM, viewer=201)),
    "account/tokens/<uuid:token_id>/revoke": page(write(404, viewer=404, owner=302)),
    "api/v1/users/me/second-factor": api(read(), write(201, viewer=201), {"DELETE": Use(409, 409, {"code": "000"})}),
    "api/v1/users/me/second-factor/confirm": api(write(409, {"code": "000"}, viewer=409)),
    "api/v1/users/me/second-factor/recovery-codes": api(write(409, {"code": "000"}, viewer=409)),
    "api/v1/tokens": api(read(), write(201, {"name": "Laptop"}, viewer=201)),
    "api/v1/tokens/<uuid:token_id>": api(read(404, owner=200), {"DELETE": Use(404, 404, owner=204)}),
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

ADMIN = settings.ADMIN_PATH
ADMIN_DOORS = {f"{ADMIN}login/", f"{ADMIN}logout/", f"{ADMIN}jsi18n/"}
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
    """The table's entry; everything under `ADMIN_PATH` is for administrators unless it is named above."""
    if route.startswith(ADMIN):
        return Route(Door.OPEN if route in ADMIN_DOORS else Door.ADMIN, read())
    return ROUTES.get(route)


def methods_of(pattern: URLPattern, route: str) -> list[str]:
    """The methods that a view may take: what a class says of itself, and all that make a difference for functions."""
    view = getattr(pattern.callback, "view_class", None) or getattr(pattern.callback, "cls", None)
    if view is not None and not route.startswith(ADMIN):
        return [
            name.upper() for name in view.http_method_names if hasattr(view, name) and name not in ("options", "head")
        ]
    return ["GET", "POST"]
