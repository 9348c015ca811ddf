"""The form in which people enter the code that a device shows, and answer for it."""

from __future__ import annotations

from django import forms

APPROVE, DENY = "approve", "deny"


class DeviceForm(forms.Form):
    """Without a `decision` it only asks what the code belongs to."""

    user_code = forms.CharField(max_length=20)
    decision = forms.ChoiceField(required=False, choices=[(APPROVE, "Approve"), (DENY, "Deny")])
