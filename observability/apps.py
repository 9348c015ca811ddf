from django.apps import AppConfig
from django.conf import settings

from platform_site.lib.secrets import register_secret


class ObservabilityConfig(AppConfig):
    name = "observability"
    verbose_name = "Observability"

    def ready(self) -> None:
        known = [settings.SECRET_KEY, settings.JWT_SECRET, settings.OPENAI_API_KEY, *settings.ENCRYPTION_KEYS]
        for secret in known:
            register_secret(secret)
        if settings.SENTRY_DSN:
            import sentry_sdk  # takes a quarter of a second, and only where errors are reported

            sentry_sdk.init(dsn=settings.SENTRY_DSN, send_default_pii=False, max_request_body_size="never")
