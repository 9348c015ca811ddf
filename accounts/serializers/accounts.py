"""Users, organisations, and signing in."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.addresses import address_check, name_check
from accounts.models import Organisation, User


class UserSerializer(serializers.ModelSerializer[User]):
    class Meta:
        model = User
        fields = ["id", "email", "name", "role", "created_at"]
        read_only_fields = ["id", "email", "role", "created_at"]


class OrganisationSerializer(serializers.ModelSerializer[Organisation]):
    class Meta:
        model = Organisation
        fields = ["id", "name", "slug"]


class MeSerializer(UserSerializer):
    """The signed-in user, with what only they see. Anything but the name that is sent is ignored."""

    name = serializers.CharField(max_length=120, allow_blank=True, required=False, validators=[name_check])

    class Meta(UserSerializer.Meta):
        fields = [*UserSerializer.Meta.fields, "email_verified_at", "pending_email"]
        read_only_fields = [*UserSerializer.Meta.read_only_fields, "email_verified_at", "pending_email"]


class SignUpSerializer(serializers.Serializer[None]):
    email = serializers.EmailField(max_length=254, validators=[address_check])
    password = serializers.CharField(max_length=200, trim_whitespace=False, style={"input_type": "password"})
    name = serializers.CharField(max_length=120, validators=[name_check])
    organization = serializers.CharField(
        max_length=120,
        required=False,
        allow_blank=True,
        default="",
        validators=[name_check],
        help_text="The name of the organisation that is made for you; not used with an invitation.",
    )
    invitation = serializers.CharField(
        max_length=200, required=False, default="", help_text="The token of an invitation: the end of its link."
    )


class SignUpPendingSerializer(serializers.Serializer[None]):
    """An account whose address must be confirmed before it can be used."""

    user = UserSerializer()
    detail = serializers.CharField()


class LoginSerializer(serializers.Serializer[None]):
    email = serializers.EmailField(max_length=254, validators=[address_check])
    password = serializers.CharField(max_length=200, trim_whitespace=False, style={"input_type": "password"})
    otp = serializers.CharField(
        max_length=40,
        required=False,
        allow_blank=True,
        default="",
        help_text="A code of the authenticator or a recovery code, for accounts with a second factor.",
    )
    client = serializers.CharField(
        max_length=100,
        required=False,
        allow_blank=True,
        default="",
        validators=[name_check],
        help_text="What the program calls itself, as shown in the list of sign-ins.",
    )


class PasswordForgottenSerializer(serializers.Serializer[None]):
    email = serializers.EmailField(max_length=254, validators=[address_check])


class PasswordResetSerializer(serializers.Serializer[None]):
    token = serializers.CharField(max_length=200)
    password = serializers.CharField(max_length=200, trim_whitespace=False, style={"input_type": "password"})


class PasswordChangeSerializer(serializers.Serializer[None]):
    current_password = serializers.CharField(max_length=200, trim_whitespace=False, style={"input_type": "password"})
    new_password = serializers.CharField(max_length=200, trim_whitespace=False, style={"input_type": "password"})


class SentenceSerializer(serializers.Serializer[None]):
    detail = serializers.CharField()


class SignInPlaceSerializer(serializers.Serializer[Any]):
    """A browser or program that is signed in."""

    id = serializers.UUIDField()
    kind = serializers.CharField(help_text="browser or api.")
    client = serializers.CharField()
    address = serializers.CharField()
    method = serializers.CharField(help_text="password, oidc, device, or empty where it is not known.")
    second_factor = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()
    is_current = serializers.BooleanField(help_text="Whether it is the one that asks.")


class SignInPlacesSerializer(serializers.Serializer[None]):
    results = SignInPlaceSerializer(many=True)


class RefreshSerializer(serializers.Serializer[None]):
    refresh = serializers.CharField(max_length=4096)


class SignedInSerializer(serializers.Serializer[None]):
    user = UserSerializer()
    organization = OrganisationSerializer(allow_null=True)
    access = serializers.CharField()
    refresh = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds until the access token expires.")
