"""The forms of organisations, members and invitations."""

from __future__ import annotations

from typing import Any

from django import forms

from accounts.models import Role


class OrganisationForm(forms.Form):
    name = forms.CharField(max_length=120)


class CloseForm(forms.Form):
    name = forms.CharField(max_length=120)


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices)


class InviteForm(forms.Form):
    """Args:
    roles: those that whoever invites may give, the highest first.
    """

    email = forms.EmailField(max_length=254)
    role = forms.ChoiceField(choices=Role.choices, initial=Role.MEMBER)

    def __init__(self, *args: Any, roles: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(role, Role(role).label) for role in roles]
        self.fields["role"] = forms.ChoiceField(choices=choices, initial=Role.MEMBER)
