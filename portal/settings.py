"""Every setting of the product, read from the environment and nowhere else.

The table of variables with their defaults stands in docs/operations.md; `portal/checks.py` refuses
to start production with unsafe values.
"""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import environ
from django.utils.csp import CSP

from portal.database_urls import database_url

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

VERSION = "0.1.0"


def _embedded() -> Any:
    """The embedded PostgreSQL's module, loaded only where no environment names a database."""
    from portal import embedded

    return embedded


# --- Where this installation stands -------------------------------------------------------------
DEBUG = env.bool("DEBUG", default=False)
#: The demo runs on a laptop over plain HTTP; everything else is production and must be HTTPS.
DEMO = env.bool("DEMO", default=False)
REQUIRE_MFA = env.bool("REQUIRE_MFA", default=not DEMO)
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")
SECRET_KEY = env.str("SECRET_KEY", default="") or _embedded().local_secret("secret_key")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
#: "name:key" entries (32 bytes, base64), the one in force first; they seal help desks' secrets.
CREDENTIAL_KEYS = env.list("CREDENTIAL_KEYS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
HTTPS = PUBLIC_URL.startswith("https://")

# --- Rooms, lowest first ------------------------------------------------------------------------
INSTALLED_APPS = [
    "portal.tenancy",
    "portal.audit",
    "portal.people",
    "portal.catalogue",
    "tickets",
    "surveys",
    "metrics",
    "governance",
    "portal",
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "portal.headers.HeadersMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "portal.people.sessions.SessionLimitsMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "portal.errors.BusyMiddleware",
    "portal.organisations.OrganisationMiddleware",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.navigation.page",
            ],
        },
    },
]

# --- Database: one role for each process (docs/architecture.md, "Tenancy") ------------------------
#: `web`, `worker`, `owner` or `public`; manage.py sets it per command, the Procfile per process.
DATABASE_ROLE = env.str("DATABASE_ROLE", default="web")

#: A request never waits long; workers fold for minutes.
_TIMEOUTS = {
    "web": " -c statement_timeout=5s -c lock_timeout=2s -c idle_in_transaction_session_timeout=30s",
    "worker": " -c statement_timeout=5min",
}


def _database(role: str) -> dict[str, Any]:
    settings = dict(env.db_url_config(database_url(role)))
    settings["ENGINE"] = "django.db.backends.postgresql"
    options: dict[str, Any] = {
        # Compiling the statements that pack columns takes longer than running them.
        "options": "-c timezone=UTC -c jit=off" + _TIMEOUTS.get(role, ""),
    }
    # Of the statements that read columns alone: Django's own are written out for each value.
    options["prepare_threshold"] = 5
    settings["OPTIONS"] = {**settings.get("OPTIONS", {}), **options}
    settings["CONN_MAX_AGE"] = 0
    if role == "web":
        # Without a pool an answer costs a connection: 3.5 times slower.
        settings["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 12, "timeout": 10}
    return settings


#: `none`: this process may not touch a database (manage.py db, demo).
DATABASES = {} if DATABASE_ROLE == "none" else {"default": _database(DATABASE_ROLE)}
ATOMIC_REQUESTS = False  # portal.organisations opens one transaction around the whole request

# --- Who signs in -------------------------------------------------------------------------------
AUTH_USER_MODEL = "people.Person"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 15},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # that mail invites to register, and nobody can
ACCOUNT_SESSION_REMEMBER = False  # sessions end by the limits below; no box may promise otherwise
ACCOUNT_ADAPTER = "portal.people.sign_in.AccountAdapter"
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_RATE_LIMITS = {"login": "20/m/ip", "login_failed": "5/m/key,20/m/ip"}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Wellserved"

SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "session"
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_IDLE_SECONDS = 3 * 3600
SESSION_ABSOLUTE_SECONDS = 12 * 3600
ADMIN_SESSION_IDLE_SECONDS = 3600
ADMIN_SESSION_ABSOLUTE_SECONDS = 8 * 3600
SIGNING_REAUTHENTICATION_SECONDS = 300
CSRF_USE_SESSIONS = True

# --- Headers (TRUST.md E) -----------------------------------------------------------------------
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "object-src": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
}
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=HTTPS)
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
if env.bool("BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000

# --- Language and time --------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

# --- Static files, served by the web process itself ----------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# --- Uploaded files: the web process writes them, workers read and remove them -------------------
UPLOADS_FOLDER = env.str(
    "UPLOADS_FOLDER",
    default=str(Path(env.str("WELLSERVED_DATA", default="") or BASE_DIR / ".data") / "uploads"),
)

# --- Help desks ----------------------------------------------------------------------------------
#: Networks outside the internet in which help desks may be connected, such as 10.20.0.0/16.
HELP_DESK_NETWORKS = [ip_network(one) for one in env.list("HELP_DESK_NETWORKS", default=[])]

# --- Mail ---------------------------------------------------------------------------------------
#: A folder receives one file per mail (the demo); without it mail goes out over SMTP.
MAILBOX_FOLDER = env.str("MAILBOX_FOLDER", default="")
MAILERS: dict[str, dict[str, Any]] = {
    "default": (
        {
            "BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "OPTIONS": {"file_path": MAILBOX_FOLDER},
        }
        if MAILBOX_FOLDER
        else {
            "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "OPTIONS": {
                "host": env.str("SMTP_HOST", default="127.0.0.1"),
                "port": env.int("SMTP_PORT", default=25),
                "username": env.str("SMTP_USER", default=""),
                "password": env.str("SMTP_PASSWORD", default=""),
                "use_tls": env.bool("SMTP_STARTTLS", default=False),
                "timeout": 20,
            },
        }
    )
}
DEFAULT_FROM_EMAIL = env.str("MAIL_FROM", default="wellserved@localhost")

# --- Work (docs/architecture.md, "Work that must happen") -----------------------------------------
BROKER_URL = env.str("BROKER_URL", default="")
WORKER_TICK_SECONDS = env.float("WORKER_TICK_SECONDS", default=5.0)

#: Days after which raw bodies of deliveries and words of messages are emptied.
RAW_RETENTION_DAYS = env.int("RAW_RETENTION_DAYS", default=30)

# --- REST ---------------------------------------------------------------------------------------
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "portal.people.api_authentication.ApiKeyAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["portal.rest.ScopePermission"],
    "DEFAULT_THROTTLE_CLASSES": ["portal.rest.KeyRateThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["portal.rest.JsonParser"],
    "DEFAULT_FILTER_BACKENDS": ["portal.rest.ClosedFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "portal.rest.Pages",
    "DEFAULT_SCHEMA_CLASS": "portal.openapi.EndpointSchema",
    "EXCEPTION_HANDLER": "portal.rest.problem",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Wellserved",
    "DESCRIPTION": "Figures with their meaning, and a place to send what happened.",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "OAS_VERSION": "3.1.0",  # whose schemas are JSON Schema, as those of the events are
    # One schema for the answers to every question of a quality review.
    "ENUM_NAME_OVERRIDES": {"MarkEnum": "metrics.api.MARKS"},
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "portal.openapi.tell_problems",
    ],
}

# --- Logs: JSON lines, never a query string, token, address or comment ---------------------------
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "portal.logs.JsonLines"}},
    "filters": {"tokens": {"()": "portal.logs.MaskTokens"}},
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "json",
            "filters": ["tokens"],
        }
    },
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
    # gunicorn writes addresses too; through our handler they are masked like everybody's.
    "loggers": {
        name: {"handlers": ["stderr"], "level": "INFO", "propagate": False}
        for name in ("gunicorn.error", "gunicorn.access")
    },
}
