"""Forms of the appliance pages."""

from __future__ import annotations

from django import forms


class AddForm(forms.Form):
    name = forms.CharField(max_length=80)
