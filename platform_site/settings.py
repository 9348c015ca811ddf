"""The one settings file. Values come from the environment through `env.py`; nothing else configures Steward."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from corsheaders.defaults import default_headers
from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE

from platform_site.env import (
    BASE_DIR,
    PRODUCTION,
    VAR_DIR,
    check_different,
    env,
    kept_secret,
    networks,
    origins,
    path_prefix,
    rate,
)

# --- Process ------------------------------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", False)
SECRET_KEY = kept_secret("SECRET_KEY")
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", default=[])
JWT_SECRET = kept_secret("JWT_SECRET")
JWT_SECRET_FALLBACKS: list[str] = env.list("JWT_SECRET_FALLBACKS", default=[])
ENCRYPTION_KEYS: list[str] = kept_secret("ENCRYPTION_KEYS", generate="fernet").split(",")
# The file that holds them where no environment variable does; it is read again when `rotate_keys` changes it.
KEPT_ENCRYPTION_KEYS = None if env.str("ENCRYPTION_KEYS", "") else VAR_DIR / "secrets" / "encryption_keys"
check_different(SECRET_KEY=SECRET_KEY, JWT_SECRET=JWT_SECRET)
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
CORS_ALLOWED_ORIGINS: list[str] = origins("CORS_ORIGINS")
CORS_ALLOW_CREDENTIALS = False  # other sites bring tokens, never the cookies of whoever visits them
CORS_ALLOW_HEADERS = [*default_headers, "idempotency-key", "last-event-id", "prefer", "x-organization"]
CORS_EXPOSE_HEADERS = ["location", "retry-after", "x-request-id"]
CORS_URLS_REGEX = r"^/(api|v1)/"
STEWARD_VAR_DIR = VAR_DIR
STEWARD_PRODUCTION = PRODUCTION
STEWARD_VERSION = "0.1.0"
LOG_LEVEL = env.str("LOG_LEVEL", "INFO").upper()
SENTRY_DSN = env.str("SENTRY_DSN", "")

INSTALLED_APPS = [
    # Daphne replaces Django's development server; elsewhere it would only load Twisted into every command.
    *(["daphne"] if "runserver" in sys.argv else []),
    "unfold",
    "platform_site",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "corsheaders",
    "csp",
    "django_prometheus",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "observability",
    "accounts",
    "runs",
    "aigen",
    "conversations",
    "deployments",
    "appliances",
]

MIDDLEWARE = [
    "observability.middleware.request_context",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # Before everything that may refuse a request, so that refusals carry their headers too.
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "platform_site.lib.headers.response_headers",
    "platform_site.lib.http.trailing_slash",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.tenancy_middleware",
    "platform_site.lib.ratelimit.page_writes",
    "django.contrib.messages.middleware.MessageMiddleware",
    "platform_site.lib.http.error_pages",
    "accounts.middleware.without_organisation",
]

ROOT_URLCONF = "platform_site.urls"
ASGI_APPLICATION = "platform_site.asgi.application"
APPEND_SLASH = False
CSRF_FAILURE_VIEW = "platform_site.lib.http.csrf_failure"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "accounts.context.organisation",
                "aigen.context.models",
            ],
        },
    },
]

# --- Data ---------------------------------------------------------------------------------------------------------
SQLITE_OPTIONS: dict[str, Any] = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY; "
    "PRAGMA cache_size=-16000;",
}
DATABASE_URL = env.str("DATABASE_URL", f"sqlite:///{VAR_DIR / 'steward.sqlite3'}")
MONGODB_URL = env.str("MONGODB_URL", "")
DATABASE_POOL_SIZE = env.int("DATABASE_POOL_SIZE", 20)
DATABASES: dict[str, dict[str, Any]] = {"default": env.db_url_config(DATABASE_URL)}
if "sqlite" in DATABASES["default"]["ENGINE"]:
    DATABASES["default"]["OPTIONS"] = SQLITE_OPTIONS
    # Tests use a file too, not memory: only then do the threads of a process share one database as they do in use.
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}
else:
    if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
        DATABASES["default"]["ENGINE"] = "accounts.postgresql"
    DATABASES["default"]["OPTIONS"] = {"pool": {"min_size": 1, "max_size": DATABASE_POOL_SIZE}}
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
if MONGODB_URL:
    DATABASES["documents"] = {
        "ENGINE": "django_mongodb_backend",
        "HOST": MONGODB_URL,
        "NAME": "steward",
        "OPTIONS": {"serverSelectionTimeoutMS": 3000},
    }
DATABASE_ROUTERS = ["runs.routers.DocumentRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", "")
CACHES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "platform_site.lib.cache.SharedCache", "LOCATION": REDIS_URL}
    if REDIS_URL
    else {"BACKEND": "platform_site.lib.process_cache.ProcessCache"}
}
CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        # redis-py's own socket timeout would close sockets that wait for a hint.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None}]},
    }
    if REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}

# --- Background work ----------------------------------------------------------------------------------------------
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", "")
RUN_LEASE_SECONDS = env.float("RUN_LEASE_SECONDS", 10.0)
RUN_SWEEP_SECONDS = env.float("RUN_SWEEP_SECONDS", 2.0)
RUN_WORKERS = env.int("RUN_WORKERS", 4)

# --- Accounts -----------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ["email", "name"]},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
FIRST_ADMINISTRATOR_EMAIL = env.str("FIRST_ADMINISTRATOR_EMAIL", "admin@steward.local")
PASSWORD_RESET_TIMEOUT = 3600
SIGN_UP_OPEN = env.bool("SIGN_UP_OPEN", True)
SIGN_UP_DOMAINS: list[str] = env.list("SIGN_UP_DOMAINS", default=[])
EMAIL_VERIFICATION_REQUIRED = env.bool("EMAIL_VERIFICATION_REQUIRED", False)
INVITATION_DAYS = env.int("INVITATION_DAYS", 7)
ORGANISATION_GRACE_DAYS = env.int("ORGANISATION_GRACE_DAYS", 14)
ADMIN_PATH = path_prefix("ADMIN_PATH", "admin/")
ADMIN_REQUIRES_SECOND_FACTOR = env.bool("ADMIN_REQUIRES_SECOND_FACTOR", PRODUCTION)
LOGIN_URL = "accounts:sign_in"
LOGIN_REDIRECT_URL = "dashboard"
SITE_URL = env.str("SITE_URL", "http://127.0.0.1:8000")
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("DEFAULT_FROM_EMAIL", "Steward <steward@localhost>")
_EMAIL = env.email_url_config(env.str("EMAIL_URL", f"filemail:///{VAR_DIR / 'mail'}"))
EMAIL_BACKEND, EMAIL_FILE_PATH = _EMAIL["EMAIL_BACKEND"], _EMAIL.get("EMAIL_FILE_PATH", "")
EMAIL_HOST, EMAIL_PORT = _EMAIL.get("EMAIL_HOST") or "", _EMAIL.get("EMAIL_PORT") or 25
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _EMAIL.get("EMAIL_HOST_USER") or "", _EMAIL.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS, EMAIL_USE_SSL = _EMAIL.get("EMAIL_USE_TLS", False), _EMAIL.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10
OIDC_DISCOVERY_URL = env.str("OIDC_DISCOVERY_URL", "")
OIDC_CLIENT_ID = env.str("OIDC_CLIENT_ID", "")
OIDC_CLIENT_SECRET = env.str("OIDC_CLIENT_SECRET", "")
OIDC_NAME = env.str("OIDC_NAME", "your organisation")
OIDC_SCOPES = env.str("OIDC_SCOPES", "")
OIDC_GROUPS_CLAIM = env.str("OIDC_GROUPS_CLAIM", "groups")
OIDC_SIGN_UP = env.bool("OIDC_SIGN_UP", True)
OIDC_ALLOWED_DOMAINS: list[str] = env.list("OIDC_ALLOWED_DOMAINS", default=[])
OIDC_SESSION_MINUTES = env.float("OIDC_SESSION_MINUTES", 5.0)
OIDC_OUTAGE_GRACE_MINUTES = env.float("OIDC_OUTAGE_GRACE_MINUTES", 60.0)
REFRESH_TOKEN_LIFETIME = timedelta(days=14)
REFRESH_REUSE_GRACE_SECONDS = env.float("REFRESH_REUSE_GRACE_SECONDS", 0.0)
SIMPLE_JWT = {
    "SIGNING_KEY": JWT_SECRET,
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=30),
    "REFRESH_TOKEN_LIFETIME": REFRESH_TOKEN_LIFETIME,
    "ISSUER": "steward",
    "AUDIENCE": "steward",
}

# --- Limits -------------------------------------------------------------------------------------------------------
THROTTLE_RATES = {
    "auth": rate("THROTTLE_AUTH", "20/min"),
    "generate": rate("THROTTLE_GENERATE", "60/min"),
    "tokens": rate("THROTTLE_TOKENS", "120/min"),
    "writes": rate("THROTTLE_WRITES", "600/min"),
}
MAX_BODY_BYTES = env.int("MAX_BODY_BYTES", 1024 * 1024)
BODY_SECONDS = 30.0
MAX_JSON_DEPTH = 40
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1_000
DATA_UPLOAD_MAX_NUMBER_FILES = 0  # nothing takes an upload

# --- REST ---------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.TokenAuthentication",
        "accounts.authentication.CookieSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated", "accounts.scopes.WithinScopes"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["platform_site.lib.http.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["platform_site.lib.ratelimit.WriteThrottle"],
    "EXCEPTION_HANDLER": "platform_site.lib.http.exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Steward",
    "DESCRIPTION": "Plain language into running software and well-kept machines, with people in charge.",
    "VERSION": STEWARD_VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "OrganisationRole": "accounts.models.Role.choices",
        "PlatformRole": "accounts.models.PlatformRole.choices",
        "GrantedBy": "accounts.models.Source.choices",
        "RunState": "runs.models.RunState.choices",
        "GenerationStatus": "aigen.models.GenerationStatus.choices",
        "DeploymentStatus": "deployments.models.DeploymentStatus.choices",
    },
}

# --- Models -------------------------------------------------------------------------------------------------------
OPENAI_API_KEY = env.str("OPENAI_API_KEY", "")
OPENAI_BASE_URL = env.str("OPENAI_BASE_URL", "")
OPENAI_MODEL = env.str("OPENAI_MODEL", "")
OLLAMA_API_URL: list[str] = env.list("OLLAMA_API_URL", default=[])
OLLAMA_MODEL = env.str("OLLAMA_MODEL", "")
TEMPERATURE = env.float("TEMPERATURE", 0.2)
MAX_TOKENS = env.int("MAX_TOKENS", 16_000)
PROVIDER_TIMEOUT_SECONDS = env.float("PROVIDER_TIMEOUT_SECONDS", 120.0)
GENERATION_MAX_REPAIRS = env.int("GENERATION_MAX_REPAIRS", 3)

# --- Sandbox and deployments --------------------------------------------------------------------------------------
SANDBOX_UNCONFINED = env.bool("SANDBOX_UNCONFINED", False)
DEPLOYMENT_ADDRESS = env.str("DEPLOYMENT_ADDRESS", "")
DEPLOYMENT_HEALTH_SECONDS = env.float("DEPLOYMENT_HEALTH_SECONDS", 20.0)

# --- Web security -------------------------------------------------------------------------------------------------
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_ENGINE = "accounts.sessions"
SESSION_COOKIE_AGE = env.int("SESSION_DAYS", 14) * 86_400
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
HTTPS_ONLY = env.bool("HTTPS_ONLY", PRODUCTION)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS_ONLY
SESSION_COOKIE_NAME = "__Host-steward_session" if HTTPS_ONLY else "steward_session"
CSRF_COOKIE_NAME = "__Host-steward_csrf" if HTTPS_ONLY else "steward_csrf"
SECURE_REDIRECT_EXEMPT = [r"^health"]  # probes speak plain HTTP inside the cluster
HTTPS_REDIRECT = env.bool("HTTPS_REDIRECT", True)
SECURE_SSL_REDIRECT = HTTPS_ONLY and HTTPS_REDIRECT
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS_ONLY
# Applied in front of Django, by lib/asgi.py: behind it, address and scheme of a request are the caller's.
TRUSTED_PROXIES = networks("TRUSTED_PROXIES")
USE_X_FORWARDED_HOST = USE_X_FORWARDED_PORT = False
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    },
}
# The admin theme evaluates expressions in attributes; only its own path is loosened for that.
ADMIN_CONTENT_SECURITY_POLICY = {
    "script-src": [SELF, NONCE, UNSAFE_EVAL],
    "style-src": [SELF, UNSAFE_INLINE],
    "img-src": [SELF, "data:"],
}

# --- Pages --------------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", str(VAR_DIR / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Embedded installations serve the static files where they are; production collects them into STATIC_ROOT.
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = DEBUG
PROMETHEUS_EXPORT_MIGRATIONS = False

UNFOLD = {
    "SITE_TITLE": "Steward",
    "SITE_HEADER": "Steward",
    "SITE_SUBHEADER": "Administration",
    "SITE_URL": "/",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/static/img/favicon.svg"}],
    "COLORS": {
        # The accent of static/css/tokens.css.
        "primary": {
            "50": "238 240 255",
            "100": "224 228 255",
            "200": "199 206 254",
            "300": "165 174 252",
            "400": "129 137 248",
            "500": "99 106 241",
            "600": "69 80 214",
            "700": "58 66 184",
            "800": "49 56 150",
            "900": "43 49 120",
            "950": "26 29 74",
        }
    },
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "observability.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "django.security.csrf": {"level": "ERROR"},
        "uvicorn": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
    },
}
