"""The form that asks before an identity is connected."""

from __future__ import annotations

from typing import Any

from django import forms

from accounts.forms.sign_in import password_field


class ConnectForm(forms.Form):
    """Asks for the password where the session is not fresh.

    Args:
        asks_password: whether it does.
    """

    current_password = password_field()

    def __init__(self, *args: Any, asks_password: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not asks_password:
            del self.fields["current_password"]
