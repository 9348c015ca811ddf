from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        from accounts.row_security import after_migrate  # needs the models, which are there only now

        post_migrate.connect(after_migrate, sender=self, dispatch_uid="accounts.row_security")
