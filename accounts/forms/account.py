"""The forms of the pages about oneself."""

from __future__ import annotations

from django import forms

from accounts.addresses import name_check
from accounts.forms.sign_in import email_field, password_field


class ProfileForm(forms.Form):
    name = forms.CharField(max_length=120, required=False, validators=[name_check])


class EmailChangeForm(forms.Form):
    """Another address; the password is asked for where the account has one."""

    email = email_field()
    current_password = password_field()

    def __init__(self, *args: object, has_password: bool = True, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["current_password"].required = has_password


class PasswordChangeForm(forms.Form):
    current_password = password_field()
    new_password = password_field()
