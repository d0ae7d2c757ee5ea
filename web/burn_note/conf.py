"""The app's settings, each with its default. Put what differs into your settings file."""

from datetime import timedelta
from typing import Any

from django.conf import settings

DEFAULTS: dict[str, Any] = {
    # the alias, in DATABASES, of the database that has the extension
    "BURN_NOTE_DATABASE": "default",
    # the proxies whose X-Forwarded-For is believed: addresses, networks, or "unix" for
    # whoever connects through a Unix socket
    "BURN_NOTE_TRUSTED_PROXIES": [],
    # the longest text, in characters
    "BURN_NOTE_MAX_TEXT": 100_000,
    # the largest file, in bytes; with its name it must fit into burn_note.max_note_size
    "BURN_NOTE_MAX_FILE": 10 * 1024 * 1024,
    # the longest expiry; the server's own limit is burn_note.max_ttl, 90 days unless set
    "BURN_NOTE_MAX_EXPIRY": timedelta(days=90),
    # how many unread notes may be of one IPv4 address or IPv6 /64, of one /56, and of one
    # IPv4 /24 or IPv6 /48: three numbers. None: any, and nothing is kept of who creates them
    "BURN_NOTE_SENDER_LIMITS": None,
    # for how long that is kept, if it is
    "BURN_NOTE_SENDERS_KEPT": timedelta(days=1),
    # the threads of one process that may wait for a passphrase's hash
    "BURN_NOTE_PASSPHRASE_THREADS": 2,
}


def get(name: str) -> Any:
    """Returns the setting `name`, or its default."""
    return getattr(settings, name, DEFAULTS[name])
