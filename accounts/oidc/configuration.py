"""What the environment says about the identity provider."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.conf import settings

from platform_site.lib.errors import NotFound

WELL_KNOWN = "/.well-known/openid-configuration"


@dataclass(frozen=True)
class Configuration:
    """The provider and this installation's client there.

    Args:
        issuer: without the slash that some issuers end with.
        client_secret: empty for a public client, which PKCE alone protects.
        scopes: empty for the default ones.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...]
    groups_claim: str

    @property
    def discovery_url(self) -> str:
        return self.issuer + WELL_KNOWN


def is_configured() -> bool:
    """Whether this installation has an identity provider."""
    return bool(settings.OIDC_DISCOVERY_URL and settings.OIDC_CLIENT_ID)


def configuration() -> Configuration:
    """The configured provider, by its discovery address or its issuer.

    Raises:
        NotFound: there is none.
    """
    if not is_configured():
        raise NotFound("This installation has no identity provider.")
    return Configuration(
        issuer=settings.OIDC_DISCOVERY_URL.removesuffix(WELL_KNOWN).rstrip("/"),
        client_id=settings.OIDC_CLIENT_ID,
        client_secret=settings.OIDC_CLIENT_SECRET,
        scopes=tuple(settings.OIDC_SCOPES.split()),
        groups_claim=settings.OIDC_GROUPS_CLAIM,
    )
