"""The forms of people who are not signed in: signing in and up, and forgotten passwords."""

from __future__ import annotations

from django import forms

from accounts.addresses import MAX_LENGTH, address_check, name_check

MAX_PASSWORD = 200


def email_field() -> forms.EmailField:
    """A field for an address in plain letters."""
    return forms.EmailField(max_length=MAX_LENGTH, validators=[address_check])


def password_field() -> forms.CharField:
    """A field for a password, which may begin and end with spaces."""
    return forms.CharField(max_length=MAX_PASSWORD, strip=False)


class SignInForm(forms.Form):
    email = email_field()
    password = password_field()


class SignUpForm(forms.Form):
    """A new account; with `invitation`, in the organisation that sent it."""

    email = email_field()
    name = forms.CharField(max_length=120, validators=[name_check])
    organisation_name = forms.CharField(max_length=120, required=False, validators=[name_check])
    password = password_field()
    invitation = forms.CharField(max_length=200, required=False)


class PasswordForgottenForm(forms.Form):
    email = email_field()


class PasswordResetForm(forms.Form):
    password = password_field()
