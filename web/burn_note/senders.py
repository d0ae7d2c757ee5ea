"""Who sends how much: a limit to the unread notes of one network, and what ends a flood.

For each note that the pages create, the table burn_note_sender keeps for a while, while
BURN_NOTE_SENDER_LIMITS is set: the note's id, the creator's address (of an IPv6 one the
/64), and the receipt token, which can end the note and cannot open it. That is encrypted,
under a key that the application has and the database has not: who reads the table alone
learns addresses, and who may write receipts gets no token to forge one with.
"""

import functools
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from uuid import UUID

from django.conf import settings
from django.db import connections
from django.views.decorators.debug import sensitive_variables

from . import conf, notes

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NONCE_BYTES = 16
_CHECK_BYTES = 8
_KEY_BYTES = 32

# One statement, so that there is no note without its row. The limits are looked at first:
# WHERE decides whether burn_create is called at all.
_CREATE = """
    WITH others AS (
        SELECT count(*) FILTER (WHERE address = %(address)s::inet) AS of_address,
            count(*) FILTER (WHERE address <<= %(site)s::inet) AS of_site,
            count(*) AS of_network
        FROM burn_note_sender
        WHERE network = %(network)s::inet AND forget_at > now()
    ), note AS MATERIALIZED (
        SELECT {function}(%(note)s, %(expires_in)s, %(passphrase)s) AS token
        FROM others
        WHERE of_address < %(address_limit)s AND of_site < %(site_limit)s
            AND of_network < %(network_limit)s
    ), kept AS (
        INSERT INTO burn_note_sender
            (id, created_at, forget_at, address, network, nonce, receipt_token)
        SELECT burn_note_id(token), now(), now() + least(%(kept)s, %(expires_in)s),
            %(address)s::inet, %(network)s::inet, %(nonce)s,
            encrypt(convert_to(burn_receipt_token(token), 'UTF8'), %(key)s, 'aes')
        FROM note
    )
    SELECT token FROM note
"""

_FIND = """
    SELECT id, created_at, host(address), nonce, receipt_token
    FROM burn_note_sender
    WHERE forget_at > now()
"""

# In statements that call burn_note's functions, since those are what it keeps out of logs
_RECEIPT_TOKEN = "convert_from(decrypt(encrypted, key, 'aes'), 'UTF8')"
_ENDED = f"""
    SELECT array_agg(id) FROM unnest(%s::uuid[], %s::bytea[], %s::bytea[]) AS kept (id, encrypted, key),
        burn_status({_RECEIPT_TOKEN})
    WHERE state <> 'sealed'
"""
_REVOKE = f"""
    SELECT burn_revoke({_RECEIPT_TOKEN}) FROM (VALUES (%s::bytea, %s::bytea)) AS kept (encrypted, key)
"""


class TooMany(Exception):
    """As many notes of that network wait as may."""


@dataclass(frozen=True)
class Sent:
    """A note, and who created it when. It can be revoked unless SECRET_KEY was another then."""

    id: UUID
    created_at: datetime
    address: Address | None
    nonce: bytes
    encrypted: bytes

    @property
    def revocable(self) -> bool:
        return _is_ours(self.nonce)


@sensitive_variables()
def create(
    note: str | bytes, expires_in: timedelta, passphrase: str | None, address: Address | None
) -> str:
    """notes.create, or create_bytes, within the limits. Raises TooMany beyond them.

    Notes that have ended are not counted; but which did is only looked at when a limit is
    reached. Notes of nobody's address are not limited. Creations at the same moment do not
    see each other: a limit may be passed by as many as there are threads.
    """
    limits = conf.get("BURN_NOTE_SENDER_LIMITS")
    if limits is None:
        return (notes.create_bytes if isinstance(note, bytes) else notes.create)(
            note, expires_in, passphrase
        )
    nonce = _new_nonce()
    parameters = {
        "note": note,
        "expires_in": expires_in,
        "passphrase": passphrase,
        "kept": conf.get("BURN_NOTE_SENDERS_KEPT"),
        "nonce": nonce,
        "key": _key(nonce),
        **dict(zip(("address", "site", "network"), _tiers(address))),
        **dict(zip(("address_limit", "site_limit", "network_limit"), limits)),
    }
    function = "burn_create_bytes" if isinstance(note, bytes) else "burn_create"
    statement = _CREATE.format(function=function)
    row = notes.fetch(statement, parameters)
    if row is None:
        # or somebody else has made room at the same moment
        _forget_ended(parameters["network"])
        row = notes.fetch(statement, parameters)
    if row is None:
        raise TooMany
    return row[0]


def waiting(
    network: Network | None = None, since: datetime | None = None, until: datetime | None = None
) -> list[Sent]:
    """The unread notes that were created from that network at that time, as far as that is
    kept; and those of which nobody can tell since SECRET_KEY was another."""
    found = _find(network, since, until)
    ended = set(_ended(found))
    return [sent for sent in found if sent.id not in ended]


@sensitive_variables()
def revoke(sent: Sent) -> None:
    """Ends the note, unless it has ended."""
    notes.fetch(_REVOKE, [sent.encrypted, _key(sent.nonce)])


def forget(ids: list[UUID] | None = None) -> int:
    """Removes these rows, or those whose time is up; returns how many."""
    which, parameters = ("forget_at <= now()", []) if ids is None else ("id = ANY(%s)", [ids])
    with _cursor() as cursor:
        cursor.execute(f"DELETE FROM burn_note_sender WHERE {which}", parameters)
        return cursor.rowcount


def _forget_ended(network: str) -> None:
    forget(_ended(_find(ip_network((network, 24 if "." in network else 48)))))


def _find(
    network: Network | None = None, since: datetime | None = None, until: datetime | None = None
) -> list[Sent]:
    statement, parameters = _FIND, []
    for condition, value in (
        ("address <<= %s::inet", network and str(network)),
        ("created_at >= %s", since),
        ("created_at <= %s", until),
    ):
        if value is not None:
            statement += f" AND {condition}"
            parameters.append(value)
    with _cursor() as cursor:
        cursor.execute(f"{statement} ORDER BY created_at", parameters)
        return [
            Sent(id, created_at, address and ip_address(address), bytes(nonce), bytes(encrypted))
            for id, created_at, address, nonce, encrypted in cursor
        ]


@sensitive_variables()
def _ended(found: list[Sent]) -> list[UUID]:
    ours = [sent for sent in found if sent.revocable]
    keys = [_key(sent.nonce) for sent in ours]
    columns = [[sent.id for sent in ours], [sent.encrypted for sent in ours], keys]
    return notes.fetch(_ENDED, columns)[0] or []


def _tiers(address: Address | None) -> tuple[str | None, str | None, str | None]:
    """What is counted of an address: itself or its /64, the /56, the /24 or /48."""
    if address is None:
        return None, None, None
    if address.version == 4:
        return str(address), str(address), _first(address, 24)
    return _first(address, 64), f"{_first(address, 56)}/56", _first(address, 48)


def _first(address: Address, bits: int) -> str:
    """The first address of its network; by ip_network() it would take several times as long."""
    rest = address.max_prefixlen - bits
    return str(type(address)(int(address) >> rest << rest))


def _cursor():
    return connections[conf.get("BURN_NOTE_DATABASE")].cursor()


# A key of its own for each row, made from SECRET_KEY and a nonce, which ends with a check by
# which a row of another SECRET_KEY is known.


def _new_nonce() -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _derive(nonce, b"check", _CHECK_BYTES)


@sensitive_variables()
def _key(nonce: bytes) -> bytes:
    return _derive(nonce, b"key", _KEY_BYTES)


def _is_ours(nonce: bytes) -> bool:
    expected = _derive(nonce[:_NONCE_BYTES], b"check", _CHECK_BYTES)
    return secrets.compare_digest(nonce[_NONCE_BYTES:], expected)


@sensitive_variables()
def _derive(nonce: bytes, purpose: bytes, size: int) -> bytes:
    return blake2b(nonce, key=_secret(settings.SECRET_KEY), person=purpose, digest_size=size).digest()


@functools.cache
@sensitive_variables()
def _secret(secret_key: str) -> bytes:
    return blake2b(secret_key.encode(), person=b"burn_note sender").digest()
