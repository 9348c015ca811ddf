"""The form for a code."""

from __future__ import annotations

from django import forms


class CodeForm(forms.Form):
    """A code of the authenticator, or a recovery code."""

    code = forms.CharField(max_length=40)
