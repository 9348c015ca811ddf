"""The second factor over the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class SecondFactorSerializer(serializers.Serializer[Any]):
    enabled = serializers.BooleanField()
    enabled_at = serializers.DateTimeField(allow_null=True)
    recovery_codes_left = serializers.IntegerField()


class AuthenticatorSerializer(serializers.Serializer[None]):
    secret = serializers.CharField(help_text="For an authenticator that cannot read the address. Told this once.")
    otpauth_url = serializers.CharField(help_text="What an authenticator reads from a QR code.")


class CodeSerializer(serializers.Serializer[None]):
    code = serializers.CharField(max_length=40, help_text="A code of the authenticator, or a recovery code.")


class RecoveryCodesSerializer(serializers.Serializer[None]):
    recovery_codes = serializers.ListField(child=serializers.CharField(), help_text="Told this once.")
