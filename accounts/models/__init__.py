"""People, the organisations they belong to, what they hold, and what was done by whom."""

from accounts.models.audit import AuditEntry
from accounts.models.credentials import DeviceAuthorisation, DeviceStatus, PersonalAccessToken, Session, TokenFamily
from accounts.models.mail import OutgoingMail
from accounts.models.organisations import GroupMapping, Invitation, Membership, Organisation, Role, TenantModel
from accounts.models.users import Authenticator, OidcIdentity, PlatformRole, RecoveryCode, Source, User

__all__ = [
    "AuditEntry",
    "Authenticator",
    "DeviceAuthorisation",
    "DeviceStatus",
    "GroupMapping",
    "Invitation",
    "Membership",
    "OidcIdentity",
    "Organisation",
    "OutgoingMail",
    "PersonalAccessToken",
    "PlatformRole",
    "RecoveryCode",
    "Role",
    "Session",
    "Source",
    "TenantModel",
    "TokenFamily",
    "User",
]
