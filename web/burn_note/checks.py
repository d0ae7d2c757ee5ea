"""What in a project's settings would weaken a promise, told by `manage.py check`."""

from ipaddress import ip_network

from django.core.checks import CheckMessage, Error, Warning, register
from django.db import connections

from . import conf


@register()
def database(**kwargs) -> list[CheckMessage]:
    """The extension is PostgreSQL's, and secrets should stay parameters."""
    alias = conf.get("BURN_NOTE_DATABASE")
    if alias not in connections or connections[alias].vendor != "postgresql":
        return [
            Error(
                f"BURN_NOTE_DATABASE is {alias!r}, which is no PostgreSQL database.",
                hint="Name one of DATABASES whose server has the extension burn_note.",
                id="burn_note.E001",
            )
        ]
    if connections[alias].settings_dict["OPTIONS"].get("server_side_binding") is not True:
        return [
            Warning(
                f"Server-side binding is off for the database {alias!r}.",
                hint=(
                    "burn_note.notes binds on the server all the same. Your own queries do not:"
                    " a secret in one stands in the statement, and so in the server's log."
                    ' Add "OPTIONS": {"server_side_binding": True} to that database.'
                ),
                id="burn_note.W001",
            )
        ]
    return []


@register()
def trusted_proxies(**kwargs) -> list[CheckMessage]:
    """A proxy that is no address is never met; one that is everybody believes everybody."""
    messages = []
    for proxy in conf.get("BURN_NOTE_TRUSTED_PROXIES"):
        try:
            everybody = proxy != "unix" and ip_network(proxy).prefixlen == 0
        except ValueError:
            messages.append(
                Error(
                    f"BURN_NOTE_TRUSTED_PROXIES has {proxy!r}, which is no address or network.",
                    hint='Write "192.0.2.1", "2001:db8::/32", or "unix" for a Unix socket.',
                    id="burn_note.E002",
                )
            )
        else:
            if everybody:
                messages.append(
                    Warning(
                        f"BURN_NOTE_TRUSTED_PROXIES has {proxy!r}: anybody may claim an address.",
                        hint="Name the proxies only.",
                        id="burn_note.W002",
                    )
                )
    return messages
