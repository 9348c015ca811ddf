"""People who sign in, and what proves that it is them beside the password."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower

from platform_site.lib.identifiers import uuid7
from platform_site.lib.secrets import EncryptedTextField


class PlatformRole(models.TextChoices):
    ADMINISTRATOR = "administrator", "Administrator"
    USER = "user", "User"


class Source(models.TextChoices):
    """Who granted a role: people here, or a group at the identity provider, which also takes it away again."""

    LOCAL = "local", "Here"
    OIDC = "oidc", "Identity provider"


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
    """Somebody who signs in with an e-mail address.

    `pending_email` becomes `email` once its owner followed the link that was sent there.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=120, blank=True)
    role = models.CharField(max_length=20, choices=PlatformRole, default=PlatformRole.USER)
    role_source = models.CharField(max_length=10, choices=Source, default=Source.LOCAL, editable=False)
    is_active = models.BooleanField(default=True)
    email_verified_at = models.DateTimeField(null=True, blank=True)
    pending_email = models.EmailField(max_length=254, blank=True)
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


class Authenticator(models.Model):
    """A time-based one-time password generator (RFC 6238) of a user; it counts once its first code was entered.

    `last_step` is the time step of the last accepted code: none is accepted twice.
    """

    user = models.OneToOneField(User, primary_key=True, on_delete=models.CASCADE, related_name="authenticator")
    secret = EncryptedTextField(redacted=False)
    last_step = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    confirmed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"Authenticator of {self.user}"


class RecoveryCode(models.Model):
    """A code that replaces the authenticator once; kept as its SHA-256, as it is random and long."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="recovery_codes")
    digest = models.CharField(max_length=64, unique=True)
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"Recovery code of {self.user}"


class OidcIdentity(models.Model):
    """An account at an OpenID Connect provider, by (iss, sub), and whose it is here. E-mail addresses never decide.

    `checked_at` is when the provider last confirmed it; `failing_since` is set while it cannot be asked.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="oidc_identities")
    issuer = models.CharField(max_length=255)
    subject = models.CharField(max_length=255)
    email = models.CharField(max_length=254, blank=True)
    groups = models.JSONField(default=list, blank=True)
    refresh_token = EncryptedTextField(blank=True, redacted=False)
    created_at = models.DateTimeField(auto_now_add=True)
    signed_in_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="oidc_identity_once")]

    def __str__(self) -> str:
        return f"{self.email or self.subject} at {self.issuer}"
