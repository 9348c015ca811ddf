"""Organisations: made, and who belongs to them."""

from __future__ import annotations

from django.db import transaction
from django.utils.text import slugify

from accounts.models import Membership, Organisation, Role, User
from platform_site.lib.identifiers import uuid7


@transaction.atomic
def organisation_create(*, name: str, owner: User) -> Organisation:
    """A new organisation with `owner` as its owner."""
    stem = slugify(name)[:60] or "organisation"
    slug = stem if not Organisation.objects.filter(slug=stem).exists() else f"{stem}-{uuid7().hex[-8:]}"
    organisation = Organisation.objects.create(name=name.strip()[:120], slug=slug)
    Membership.objects.create(user=owner, organisation=organisation, role=Role.OWNER)
    return organisation
