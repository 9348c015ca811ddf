"""`manage.py forget_authenticator <e-mail>`: for somebody who lost everything when nobody else can help."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from accounts.services.second_factor import authenticator_forget, is_enabled


class Command(BaseCommand):
    help = "Removes a user's authenticator and recovery codes; they sign in with their password alone then."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email=options["email"].strip().lower()).first()
        if user is None:
            raise CommandError("There is no account with this address.")
        if not is_enabled(user):
            raise CommandError(f"{user.email} has no authenticator.")
        authenticator_forget(user=user, actor=None)
        self.stdout.write(f"{user.email} signs in with the password alone now.")
