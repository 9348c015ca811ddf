"""The form for a personal access token."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from accounts.credentials import DEFAULT_SCOPES, SCOPES
from accounts.models import Organisation
from accounts.services.tokens import MAX_NAME

EXPIRIES = [("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year"), ("never", "Never")]


class TokenForm(forms.Form):
    name = forms.CharField(max_length=MAX_NAME)
    scopes = forms.MultipleChoiceField(
        choices=list(SCOPES.items()),
        initial=DEFAULT_SCOPES,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one scope."},
    )
    expires_in = forms.ChoiceField(choices=EXPIRIES, initial="90")
    organisation = forms.ChoiceField(required=False)

    def __init__(self, data: Any = None, *, organisations: Iterable[Organisation]) -> None:
        super().__init__(data)
        mine = [(str(organisation.pk), organisation.name) for organisation in organisations]
        self.fields["organisation"].choices = [("", "All of mine"), *mine]  # type: ignore[attr-defined]

    @property
    def expires_at(self) -> datetime | None:
        """When the token is to end, None for never; of a valid form."""
        days = self.cleaned_data["expires_in"]
        return None if days == "never" else timezone.now() + timedelta(days=int(days))
