from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class RunsConfig(AppConfig):
    name = "runs"
    verbose_name = "Runs"

    def ready(self) -> None:
        # Each room registers the kinds of work it does in its `tasks.py`, and what it does when an organisation ends in
        # its `closing.py`.
        autodiscover_modules("tasks", "closing")
