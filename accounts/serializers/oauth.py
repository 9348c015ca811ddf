"""What the OAuth 2.0 endpoints take and answer (RFC 6749, RFC 8628)."""

from __future__ import annotations

from rest_framework import serializers

from accounts.signing import MAX_TOKEN_CHARACTERS

CLIENT = r"^[\x20-\x7e]*\Z"
"""VSCHAR of RFC 6749, appendix A: nothing that looks like something else on the page where people approve it."""


class TokenRequestSerializer(serializers.Serializer[None]):
    """Which parameters a grant needs depends on `grant_type`."""

    grant_type = serializers.CharField(max_length=100)
    username = serializers.CharField(max_length=254, required=False, help_text="The e-mail address, for `password`.")
    password = serializers.CharField(
        max_length=200, required=False, trim_whitespace=False, style={"input_type": "password"}
    )
    otp = serializers.CharField(
        max_length=40, required=False, help_text="A code of the authenticator or a recovery code, for `password`."
    )
    refresh_token = serializers.CharField(
        max_length=MAX_TOKEN_CHARACTERS, required=False, help_text="For `refresh_token`."
    )
    device_code = serializers.CharField(max_length=200, required=False, help_text="For the device grant.")
    client_id = serializers.RegexField(CLIENT, max_length=100, required=False, help_text="What the program is called.")
    client_secret = serializers.CharField(required=False, help_text="Ignored: programs are public clients.")
    scope = serializers.CharField(required=False, help_text="Ignored: the answer says what is granted.")


class TokenSerializer(serializers.Serializer[None]):
    access_token = serializers.CharField()
    token_type = serializers.ChoiceField(["Bearer"])
    expires_in = serializers.IntegerField(help_text="Seconds until the access token expires.")
    refresh_token = serializers.CharField()
    scope = serializers.CharField()


class DeviceRequestSerializer(serializers.Serializer[None]):
    client_id = serializers.RegexField(CLIENT, max_length=100, help_text="Shown to the person who approves it.")
    scope = serializers.CharField(required=False, help_text="Ignored.")


class DeviceSerializer(serializers.Serializer[None]):
    device_code = serializers.CharField()
    user_code = serializers.CharField()
    verification_uri = serializers.CharField()
    verification_uri_complete = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds until both codes expire.")
    interval = serializers.IntegerField(help_text="Seconds to wait between two questions.")


class OAuthErrorSerializer(serializers.Serializer[None]):
    """The errors of RFC 6749, section 5.2, with the fields that every error of this API has."""

    error = serializers.CharField(help_text="A code such as `invalid_grant`.")
    error_description = serializers.CharField()
    detail = serializers.CharField()
    status_code = serializers.IntegerField()
    timestamp = serializers.DateTimeField()
    path = serializers.CharField()
    request_id = serializers.CharField()
    errors = serializers.DictField(  # type: ignore[assignment] # a field here, whatever the base class calls so
        child=serializers.ListField(child=serializers.CharField()), required=False
    )
