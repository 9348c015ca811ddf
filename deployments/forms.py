"""What people fill in to deploy."""

from __future__ import annotations

from django import forms


class DeployForm(forms.Form):
    """The service says what is wrong with a name, so that pages and API say the same."""

    name = forms.CharField(required=False, strip=False)
    accept_unverified = forms.BooleanField(required=False)
