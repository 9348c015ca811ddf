"""`manage.py rotate_keys`: everything that is stored encrypted moves to the first of `ENCRYPTION_KEYS`."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from platform_site.lib.key_rotation import Rotation, columns, key_add, keys_retire, rotate
from platform_site.lib.secrets import encryption_keys

IN_THE_ENVIRONMENT = (
    "The keys of this installation come from ENCRYPTION_KEYS (or ENCRYPTION_KEYS_FILE), which only you can change: "
    "docs/runbooks/keys.md says in which order."
)


class Command(BaseCommand):
    help = "Encrypts stored secrets under the first of ENCRYPTION_KEYS. Steward may run meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--generate", action="store_true", help="first put a new key in front (embedded mode)")
        parser.add_argument("--retire", action="store_true", help="afterwards remove the keys that nothing needs")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["generate"]:
            if settings.KEPT_ENCRYPTION_KEYS is None:
                raise CommandError(IN_THE_ENVIRONMENT)
            key_add(settings.KEPT_ENCRYPTION_KEYS)
            self.stdout.write(f"A new key stands first of {len(encryption_keys())}.")
        done = [self._rotate(*column) for column in columns()]
        older = sum(one.older for one in done)
        self.stdout.write(f"{sum(one.rotated for one in done)} moved; {older} still use older keys.")
        if options["retire"]:
            self._retire(is_safe=older == 0)

    def _rotate(self, model: Any, name: str) -> Rotation:
        result = rotate(model, name, progress=self._say_progress)
        self.stdout.write(f"{result.label}: {result.values} values, {result.rotated} moved")
        for pk in result.unreadable:
            self.stderr.write(f"{result.label} of {pk} cannot be read with any of the keys; it was left as it is.")
        return result

    def _say_progress(self, so_far: Rotation) -> None:
        if so_far.rotated:
            self.stdout.write(f"{so_far.label}: {so_far.rotated} of {so_far.values} seen …")

    def _retire(self, *, is_safe: bool) -> None:
        if not is_safe:
            raise CommandError("Older keys are still in use; nothing was removed. Run this again.")
        if settings.KEPT_ENCRYPTION_KEYS is None:
            raise CommandError(f"Nothing needs the older keys any more. {IN_THE_ENVIRONMENT}")
        self.stdout.write(f"{keys_retire(settings.KEPT_ENCRYPTION_KEYS)} older keys removed.")
