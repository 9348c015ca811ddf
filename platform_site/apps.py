from importlib import import_module

from django.apps import AppConfig
from django.conf import settings


class PlatformSiteConfig(AppConfig):
    name = "platform_site"
    verbose_name = "Platform"

    def ready(self) -> None:
        import_module("platform_site.checks")
        if settings.CELERY_BROKER_URL:
            # The application must be the current one wherever runs are dispatched; without a broker it stays unloaded.
            import_module("platform_site.celery")
