"""Organisations, members, invitations, and users as Administrators see them."""

from __future__ import annotations

from rest_framework import serializers

from accounts.models import Invitation, Membership, Organisation, PlatformRole, Role, User
from accounts.services.invitations import STATES

MAX_NAME, MAX_ADDRESS = 120, 254


class OrganisationDetailSerializer(serializers.ModelSerializer[Organisation]):
    role = serializers.SerializerMethodField(help_text="Your role there; null for a platform administrator.")

    class Meta:
        model = Organisation
        fields = ["id", "name", "slug", "role", "created_at", "closed_at", "purge_after"]

    def get_role(self, organisation: Organisation) -> str | None:
        return getattr(organisation, "own_role", None)


class OrganisationPageSerializer(serializers.Serializer[None]):
    results = OrganisationDetailSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class OrganisationNameSerializer(serializers.Serializer[None]):
    name = serializers.CharField(max_length=MAX_NAME)


class OrganisationTransferSerializer(serializers.Serializer[None]):
    membership = serializers.UUIDField(help_text="The id of the membership of who becomes the owner.")


class MemberUserSerializer(serializers.ModelSerializer[User]):
    class Meta:
        model = User
        fields = ["id", "email", "name"]


class MembershipSerializer(serializers.ModelSerializer[Membership]):
    user = MemberUserSerializer(read_only=True)

    class Meta:
        model = Membership
        fields = ["id", "user", "role", "source", "created_at"]


class MembershipPageSerializer(serializers.Serializer[None]):
    results = MembershipSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class RoleSerializer(serializers.Serializer[None]):
    role = serializers.ChoiceField(choices=Role.choices)


class InvitationSerializer(serializers.ModelSerializer[Invitation]):
    """An invitation without its token, which only the mail holds."""

    state = serializers.ChoiceField(choices=STATES, read_only=True)
    invited_by = serializers.EmailField(source="invited_by.email", default=None, read_only=True)

    class Meta:
        model = Invitation
        fields = ["id", "email", "role", "state", "invited_by", "created_at", "expires_at", "accepted_at"]


class InvitationPageSerializer(serializers.Serializer[None]):
    results = InvitationSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class InviteSerializer(serializers.Serializer[None]):
    email = serializers.EmailField(max_length=MAX_ADDRESS)
    role = serializers.ChoiceField(choices=Role.choices, default=Role.MEMBER)


class InvitationAcceptSerializer(serializers.Serializer[None]):
    token = serializers.CharField(max_length=200, help_text="The end of the link that was sent.")


class DirectoryUserSerializer(serializers.ModelSerializer[User]):
    """A user as platform Administrators see them."""

    class Meta:
        model = User
        fields = [
            "id",
            "email",
            "name",
            "role",
            "role_source",
            "is_active",
            "email_verified_at",
            "last_login",
            "created_at",
        ]
        read_only_fields = fields


class DirectoryPageSerializer(serializers.Serializer[None]):
    results = DirectoryUserSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class UserCreateSerializer(serializers.Serializer[None]):
    email = serializers.EmailField(max_length=MAX_ADDRESS)
    name = serializers.CharField(max_length=MAX_NAME, required=False, allow_blank=True, default="")
    role = serializers.ChoiceField(choices=PlatformRole.choices, default=PlatformRole.USER)


class UserChangeSerializer(serializers.Serializer[None]):
    """What is left out stays as it is."""

    name = serializers.CharField(max_length=MAX_NAME, required=False, allow_blank=True)
    role = serializers.ChoiceField(choices=PlatformRole.choices, required=False)
    is_active = serializers.BooleanField(required=False)
