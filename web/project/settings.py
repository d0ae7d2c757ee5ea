"""The project around the app. What differs between two deployments comes from the
environment, and deploy/web.env describes it: an update replaces this file.

There is nothing to log in to, no session and no admin, so none of Django's apps for them.
"""

import os
from datetime import timedelta
from pathlib import Path

from burn_note.conf import DEFAULTS
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _


def required(name: str) -> str:
    value = os.environ.get(name, "")
    if not value.strip():
        raise ImproperlyConfigured(f"The environment variable {name} is missing: see deploy/web.env.")
    return value


def number(name: str, default: int) -> int:
    value = os.environ.get(name, "").strip() or str(default)
    if not value.isdecimal() or int(value) == 0:
        raise ImproperlyConfigured(f"The environment variable {name} is no number above 0: {value!r}.")
    return int(value)


SECRET_KEY = required("SECRET_KEY")
ALLOWED_HOSTS = required("ALLOWED_HOSTS").replace(",", " ").split()
DEBUG = False

# those of the site's own come first, and with them their templates
INSTALLED_APPS = [
    *os.environ.get("BURN_NOTE_EXTRA_APPS", "").replace(",", " ").split(),
    "burn_note",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]

# Where the server is, who we are there and how it proves itself: libpq's own variables,
# PGHOST, PGPORT, PGUSER, PGPASSFILE, PGSSLMODE, PGSSLROOTCERT.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("PGDATABASE", "burn_note"),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        # secrets stay parameters, so that no server log and no statistics view has them
        # and the few statements that there are need not be planned each time
        "OPTIONS": {"server_side_binding": True, "prepare_threshold": 1},
    }
}

# nginx connects through a Unix socket, and nobody else can
BURN_NOTE_TRUSTED_PROXIES = ["unix"]
BURN_NOTE_MAX_TEXT = number("BURN_NOTE_MAX_TEXT", DEFAULTS["BURN_NOTE_MAX_TEXT"])
BURN_NOTE_MAX_FILE = number("BURN_NOTE_MAX_FILE", DEFAULTS["BURN_NOTE_MAX_FILE"])
BURN_NOTE_MAX_EXPIRY = timedelta(days=number("BURN_NOTE_MAX_EXPIRY_DAYS", 7))
BURN_NOTE_SENDER_LIMITS = (
    number("BURN_NOTE_UNREAD_PER_ADDRESS", 20),
    number("BURN_NOTE_UNREAD_PER_SITE", 30),
    number("BURN_NOTE_UNREAD_PER_NETWORK", 50),
)
BURN_NOTE_SENDERS_KEPT = timedelta(hours=number("BURN_NOTE_SENDERS_KEPT_HOURS", 24))
BURN_NOTE_PASSPHRASE_THREADS = number(
    "BURN_NOTE_PASSPHRASE_THREADS", DEFAULTS["BURN_NOTE_PASSPHRASE_THREADS"]
)

LANGUAGE_CODE = os.environ.get("LANGUAGE_CODE", "en")
LANGUAGES = [("en", _("English")), ("de", _("German"))]
TIME_ZONE = os.environ.get("TIME_ZONE", "UTC")

STATIC_URL = "/static/"
# with the list of their names, which is this code's alone; deploy/install copies them from
# here to where nginx finds those of earlier releases, too
STATIC_ROOT = os.environ.get("STATIC_ROOT", Path(__file__).parents[1] / "static")
STORAGES = {
    # names with a hash of the contents, which browsers may keep for ever
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    },
}

# off only for `make web`: plain HTTP, to and from this machine
HTTPS = os.environ.get("BURN_NOTE_HTTPS", "on") != "off"
# true because deploy/nginx always sets the header itself
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
# which no other host of the domain can set; browsers take the prefix from HTTPS only
CSRF_COOKIE_NAME = "__Host-csrftoken" if HTTPS else "csrftoken"
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_HTTPONLY = True
# Not "Strict": who follows a link from a mail would get a new cookie, and the form in
# another tab would fail.
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "burn_note.views.csrf_failure"

# To stderr, for systemd's journal. Requests are nginx's to log, so here errors only:
# with their traceback, without local variables, and no mail.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": [], "level": "INFO"},
        "django.request": {"level": "ERROR"},
        # what strangers send as Host is no error of ours
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
