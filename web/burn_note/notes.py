"""The extension's SQL functions, typed.

Secrets are bound parameters, always: the statements go to psycopg's server-side binding
cursor, past Django's own. So they are in no `connection.queries`, no line of the logger
django.db.backends, and no execute_wrapper of a debugging or tracing tool. Transactions
are Django's: under `atomic()` the calls are part of the block.

A token is checked here first; one that is none raises InvalidToken and never reaches the
server, where the failed statement would abort the caller's transaction. All else that
the server refuses arrives as Django's database errors; `sqlstate(error)` tells which.
Times are datetimes as Django's are, aware unless USE_TZ is off. Every function takes
`using`, a database alias; the default is the setting BURN_NOTE_DATABASE.
"""

import select
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_interface
from typing import Any

import psycopg
from django.db import Error, OperationalError, ProgrammingError, connections
from django.views.decorators.debug import sensitive_variables

from . import conf, tokens
from .tokens import InvalidToken

__all__ = [
    "InvalidToken",
    "Status",
    "Unreachable",
    "create",
    "create_bytes",
    "purge",
    "read",
    "read_bytes",
    "receipt_token",
    "revoke",
    "sqlstate",
    "status",
    "verify_receipt",
]

Address = IPv4Address | IPv6Address

# SQLSTATEs of what a user can meet; README.md lists all
OTHER_KIND = "22000"
LOCK_NOT_AVAILABLE = "55P03"
OUT_OF_BOUNDS = "22023"
TOO_MANY_PENDING = "53400"
TOO_LARGE = "54000"
WITHHELD = "58030"
INVALID_TOKEN = "UB001"
STANDBYS_MISSING = "UB004"


class Unreachable(OperationalError):
    """There is no connection to the server: the statement was not sent to it."""


@dataclass(frozen=True)
class Status:
    """What burn_status tells. `state` is one of states.STATES; what is not known is None."""

    state: str
    created_at: datetime | None
    expires_at: datetime
    has_passphrase: bool | None
    attempts_left: int | None
    closed_at: datetime | None
    client_ip: Address | None
    peer: Address | None
    actor: str | None


@sensitive_variables()
def create(
    note: str,
    expires_in: timedelta | None = None,
    passphrase: str | None = None,
    *,
    using: str | None = None,
) -> str:
    """Seals a text and returns its token, the only key.

    `expires_in` None is the server's burn_note.default_ttl. Inside `atomic()` the note
    is there once the block has committed: show the token after that.
    Errors: 22023 (expiry or passphrase out of bounds), 53400 (too many unread notes of
    this role), 54000 (note too large).
    """
    return _call("SELECT burn_create(%s, %s, %s)", note, expires_in, passphrase, using=using)


@sensitive_variables()
def create_bytes(
    note: bytes,
    expires_in: timedelta | None = None,
    passphrase: str | None = None,
    *,
    using: str | None = None,
) -> str:
    """`create` for bytes, which only `read_bytes` gives back."""
    return _call("SELECT burn_create_bytes(%s, %s, %s)", note, expires_in, passphrase, using=using)


@sensitive_variables()
def read(
    token: str,
    client_ip: Address | None = None,
    passphrase: str | None = None,
    *,
    using: str | None = None,
) -> str | None:
    """Returns the note and destroys it, or None if there is none to be had.

    It stays destroyed if the caller's transaction rolls back. None also answers a
    missing or wrong passphrase: `status` then still says sealed.
    Errors: 22000 (a note of bytes), 55P03 (its row is locked), UB004 (too few synchronous
    standbys); these burn nothing. 58030 (one did not confirm) does.
    """
    tokens.require(token, tokens.NOTE)
    return _call("SELECT burn_read(%s, %s, %s)", token, client_ip, passphrase, using=using)


@sensitive_variables()
def read_bytes(
    token: str,
    client_ip: Address | None = None,
    passphrase: str | None = None,
    *,
    using: str | None = None,
) -> bytes | None:
    """`read` for what `create_bytes` sealed."""
    tokens.require(token, tokens.NOTE)
    return _call("SELECT burn_read_bytes(%s, %s, %s)", token, client_ip, passphrase, using=using)


@sensitive_variables()
def status(token: str, *, using: str | None = None) -> Status:
    """Tells what has become of a note, by its token or receipt token. Changes nothing."""
    return receipt_token_and_status(token, using=using)[1]


@sensitive_variables()
def revoke(token: str, client_ip: Address | None = None, *, using: str | None = None) -> bool:
    """Destroys a note unread, by its token or receipt token. True if this call did it."""
    tokens.require(token, tokens.NOTE, tokens.RECEIPT)
    return _call("SELECT burn_revoke(%s, %s)", token, client_ip, using=using)


@sensitive_variables()
def receipt_token(token: str, *, using: str | None = None) -> str:
    """The token that shows a note's status and revokes it, and cannot open it."""
    tokens.require(token, tokens.NOTE, tokens.RECEIPT)
    return _call("SELECT burn_receipt_token(%s)", token, using=using)


@sensitive_variables()
def receipt_token_and_status(token: str, *, using: str | None = None) -> tuple[str, Status]:
    """Both, by one statement."""
    tokens.require(token, tokens.NOTE, tokens.RECEIPT)
    row = _row(
        "SELECT burn_receipt_token(%(token)s), state, created_at, expires_at, has_passphrase,"
        " attempts_left, closed_at, client_ip, peer, actor FROM burn_status(%(token)s)",
        {"token": token},
        using=using,
    )
    receipt_token, *columns, client_ip, peer, actor = row
    return receipt_token, Status(*columns, _host(client_ip), _host(peer), actor)


@sensitive_variables()
def verify_receipt(token: str, *, using: str | None = None) -> bool | None:
    """Whether the receipt's seal is right: its outcome, times and client_ip are as they
    were written. None if there is no sealed receipt."""
    tokens.require(token, tokens.NOTE, tokens.RECEIPT)
    return _call("SELECT burn_verify_receipt(%s)", token, using=using)


def purge(max_notes: int = 1000, *, using: str | None = None) -> int:
    """Ends expired notes and rolled-back burns, at most so many; returns how many rows
    went. 0 means done. A server with burn_note preloaded does this by itself."""
    return _call("SELECT burn_purge(%s)", max_notes, using=using)


def sqlstate(error: Error) -> str | None:
    """The five characters that name a database error."""
    return getattr(error.__cause__, "sqlstate", None)


@sensitive_variables()
def _call(statement: str, *parameters: Any, using: str | None) -> Any:
    (value,) = _row(statement, parameters, using=using)
    return value


@sensitive_variables()
def _row(statement: str, parameters: Any, *, using: str | None) -> tuple[Any, ...]:
    row = fetch(statement, parameters, using=using)
    if row is None:
        raise ProgrammingError("the statement returned no row")
    return row


@sensitive_variables()
def fetch(statement: str, parameters: Any, *, using: str | None = None) -> tuple[Any, ...] | None:
    """Runs a statement and returns its first row, as Django's cursor would but for its logs."""
    connection = connections[using or conf.get("BURN_NOTE_DATABASE")]
    try:
        if _has_been_spoken_to(connection.connection):
            connection.close_if_health_check_failed()
        connection.ensure_connection()
    except Error as error:
        raise Unreachable(*error.args) from error.__cause__
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        return cursor.execute(statement, parameters).fetchone()


def _has_been_spoken_to(server: psycopg.Connection | None) -> bool:
    """Whether the server has sent what nobody asked for, its farewell for instance. Where it
    has not, asking how it is would take as long as a statement."""
    if server is None or server.closed:
        return True
    poll = select.poll()
    poll.register(server.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _host(inet: str | None) -> Address | None:
    # Django has psycopg load inet as text
    return None if inet is None else ip_interface(inet).ip
