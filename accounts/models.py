"""People, the organisations they belong to, and what was done by whom."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower

from accounts.tenancy import tenant_manager
from platform_site.lib.identifiers import uuid7


class PlatformRole(models.TextChoices):
    ADMINISTRATOR = "administrator", "Administrator"
    USER = "user", "User"


class Role(models.TextChoices):
    """What a member may do in an organisation; each role includes the ones after it."""

    OWNER = "owner", "Owner"
    ADMINISTRATOR = "administrator", "Administrator"
    MEMBER = "member", "Member"
    VIEWER = "viewer", "Viewer"


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username)

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, role=PlatformRole.ADMINISTRATOR, **fields)


class User(AbstractBaseUser):
    """Somebody who signs in with an e-mail address. `token_version` outdates every token issued before it grew."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=120, blank=True)
    role = models.CharField(max_length=20, choices=PlatformRole, default=PlatformRole.USER)
    is_active = models.BooleanField(default=True)
    token_version = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        ordering = ["email"]
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_case_insensitive")]

    def __str__(self) -> str:
        return self.name or self.email

    @property
    def is_administrator(self) -> bool:
        return self.is_active and self.role == PlatformRole.ADMINISTRATOR

    # Django admin asks these; platform Administrators may do everything there, others do not get in.
    @property
    def is_staff(self) -> bool:
        return self.is_administrator

    @property
    def is_superuser(self) -> bool:
        return self.is_administrator

    def has_perm(self, perm: str, obj: object = None) -> bool:
        return self.is_administrator

    def has_perms(self, perm_list: Any, obj: object = None) -> bool:
        return self.is_administrator

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_administrator


class Organisation(models.Model):
    """A customer: the owner of everything that people make on the platform."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=80, unique=True)
    members = models.ManyToManyField(User, through="Membership", related_name="organisations")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class MembershipQuerySet(models.QuerySet["Membership"]):
    def organisation_for(self, user: User, wanted: str | None) -> Organisation | None:
        """The organisation that `user` works in: the `wanted` id if they belong to it, else their first, else None."""
        mine = list(self.filter(user=user).select_related("organisation").order_by("created_at"))
        chosen = next((one for one in mine if str(one.organisation_id) == wanted), mine[0] if mine else None)
        return chosen.organisation if chosen else None


class Membership(models.Model):
    """A user's role in an organisation."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role, default=Role.MEMBER)
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


class AuditEntry(models.Model):
    """Who did what, when and from where. Rows are only ever added."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Kept as values: an entry outlives the rows it speaks of.
    organisation_id = models.UUIDField(null=True, db_index=True)
    actor_id = models.UUIDField(null=True)
    actor_email = models.CharField(max_length=254, blank=True)
    action = models.CharField(max_length=80)
    target_type = models.CharField(max_length=80, blank=True)
    target_id = models.CharField(max_length=80, blank=True)
    target_name = models.CharField(max_length=200, blank=True)
    changes = models.JSONField(default=dict, blank=True)
    address = models.CharField(max_length=45, blank=True)
    at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-at"]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.actor_email or 'the platform'}: {self.action} {self.target_name}"
