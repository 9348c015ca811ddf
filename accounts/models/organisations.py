"""Organisations, who belongs to them, and the base of everything that they own."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

from accounts.models.users import PlatformRole, Source, User
from accounts.tenancy import tenant_manager
from platform_site.lib.identifiers import uuid7


class Role(models.TextChoices):
    """What a member may do in an organisation; each role includes the ones after it."""

    OWNER = "owner", "Owner"
    ADMINISTRATOR = "administrator", "Administrator"
    MEMBER = "member", "Member"
    VIEWER = "viewer", "Viewer"


class Organisation(models.Model):
    """A customer: the owner of everything that people make on the platform.

    A closed organisation lets nobody in; until `purge_after` its owners can open it again, then it is deleted.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=80, unique=True)
    members = models.ManyToManyField(User, through="Membership", related_name="organisations")
    created_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True, editable=False)
    purge_after = models.DateTimeField(null=True, editable=False)

    is_foreign = False
    """Set where a platform Administrator looks into it who does not belong to it."""

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_closed(self) -> bool:
        return self.closed_at is not None


class MembershipQuerySet(models.QuerySet["Membership"]):
    def open(self) -> MembershipQuerySet:
        """Of organisations that are not closed."""
        return self.filter(organisation__closed_at=None)

    def organisation_for(self, user: User, wanted: str | None) -> Organisation | None:
        """The open organisation that `user` works in: the `wanted` one if it is theirs, else their first, else None."""
        mine = list(self.open().filter(user=user).select_related("organisation").order_by("created_at"))
        chosen = next((one for one in mine if str(one.organisation_id) == wanted), mine[0] if mine else None)
        return chosen.organisation if chosen else None


class Membership(models.Model):
    """A user's role in an organisation."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role, default=Role.MEMBER)
    source = models.CharField(max_length=10, choices=Source, default=Source.LOCAL, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[Any] = MembershipQuerySet.as_manager()

    class Meta:
        ordering = ["created_at"]
        constraints = [models.UniqueConstraint(fields=["user", "organisation"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.organisation} ({self.role})"


class TenantModel(models.Model):
    """The base of every row that belongs to an organisation."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[Any] = tenant_manager()

    class Meta:
        abstract = True


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> InvitationQuerySet:
        """Neither used nor withdrawn nor expired."""
        return self.filter(accepted_at=None, revoked_at=None, expires_at__gt=timezone.now())


class Invitation(TenantModel):
    """A place in an organisation that waits for the owner of an e-mail address; used once, by a link that was sent.

    The link holds a random token, of which the SHA-256 is kept.
    """

    email = models.EmailField(max_length=254)
    role = models.CharField(max_length=20, choices=Role, default=Role.MEMBER)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, editable=False)
    accepted_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects: ClassVar[Any] = tenant_manager(InvitationQuerySet)

    class Meta:
        indexes = [models.Index(fields=["organisation", "-id"], name="invitation_of_organisation")]

    def __str__(self) -> str:
        return f"{self.email} to {self.organisation} as {self.role}"

    @property
    def is_open(self) -> bool:
        return self.state == "open"

    @property
    def state(self) -> str:
        """One of `open accepted withdrawn expired`."""
        if self.accepted_at is not None:
            return "accepted"
        if self.revoked_at is not None:
            return "withdrawn"
        return "open" if self.expires_at > timezone.now() else "expired"


class GroupMapping(models.Model):
    """What a group at the identity provider grants here: a role in an organisation, or a platform role."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    group = models.CharField(max_length=255)
    organisation = models.ForeignKey(Organisation, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=20, choices=Role, blank=True)
    platform_role = models.CharField(max_length=20, choices=PlatformRole, blank=True)

    class Meta:
        ordering = ["group"]
        constraints = [
            models.UniqueConstraint(fields=["group", "organisation"], name="group_mapping_once"),
            models.CheckConstraint(
                name="group_mapping_grants_one_thing",
                condition=(
                    models.Q(organisation__isnull=False, platform_role="") & ~models.Q(role="")
                    | models.Q(organisation__isnull=True, role="") & ~models.Q(platform_role="")
                ),
            ),
        ]

    def __str__(self) -> str:
        return (
            f"{self.group}: {self.role} in {self.organisation}"
            if self.organisation_id
            else f"{self.group}: {self.platform_role}"
        )
