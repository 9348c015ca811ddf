"""Who acts in a request: the signed-in user, with the type that services want."""

from __future__ import annotations

from django.http import HttpRequest
from rest_framework.request import Request

from accounts.models import User
from platform_site.lib.errors import NotAuthenticated


def actor_of(request: HttpRequest | Request) -> User:
    """The signed-in user of a request.

    Raises:
        NotAuthenticated: nobody is signed in.
    """
    user = request.user
    if not user.is_authenticated:
        raise NotAuthenticated("Sign in first.")
    return User.objects.get(pk=user.pk) if not isinstance(user, User) else user
