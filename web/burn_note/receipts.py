"""A signal for each receipt, once, whatever was restarted in between.

Which receipts have been announced stands in a table, by id: neither their times nor
their ids grow in the order in which they are committed, so that "later than the last
one" would skip some. Two listeners share the work.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_interface
from uuid import UUID

from django.db import OperationalError, connections, transaction

from . import conf
from .models import Announcement
from .signals import note_ended
from .states import STATES

logger = logging.getLogger(__name__)

_OUTCOMES = {state.letter: name for name, state in STATES.items() if state.letter}
_BATCH = 1000

_UNANNOUNCED = """
    SELECT id, created_at, closed_at, outcome, client_ip, peer, actor
    FROM burn_receipt receipt
    WHERE NOT EXISTS (SELECT FROM burn_note_announcement a WHERE a.id = receipt.id)
"""


@dataclass(frozen=True)
class Receipt:
    """How a note ended. `id` is what burn_note_id(token) computes; `outcome` is one of
    states.STATES that has a letter."""

    id: UUID
    created_at: datetime
    closed_at: datetime
    outcome: str
    client_ip: IPv4Address | IPv6Address | None
    peer: IPv4Address | IPv6Address | None
    actor: str | None


def announce(ids: Collection[UUID] | None = None) -> int:
    """Sends the signal for the receipts with these ids, or for all, that had none yet.

    Returns for how many. A receiver's exception is logged and its receipt comes again;
    only an OperationalError, the database's, is raised.
    """
    sent = 0
    failed: set[UUID] = set()
    while batch := _unannounced(ids, failed):
        for receipt in batch:
            try:
                sent += _announce(receipt)
            except OperationalError:
                raise
            except Exception:
                logger.exception("a receiver of note_ended failed for receipt %s", receipt.id)
                failed.add(receipt.id)
    return sent


def forget() -> None:
    """Forgets the announcements whose receipts were purged."""
    with connections[conf.get("BURN_NOTE_DATABASE")].cursor() as cursor:
        cursor.execute(
            "DELETE FROM burn_note_announcement a"
            " WHERE NOT EXISTS (SELECT FROM burn_receipt r WHERE r.id = a.id)"
        )


def _unannounced(ids: Collection[UUID] | None, failed: Collection[UUID]) -> list[Receipt]:
    statement, parameters = _UNANNOUNCED + " AND id <> ALL(%s)", [list(failed)]
    if ids is not None:
        statement, parameters = statement + " AND id = ANY(%s)", [*parameters, list(ids)]
    with connections[conf.get("BURN_NOTE_DATABASE")].cursor() as cursor:
        cursor.execute(f"{statement} ORDER BY closed_at LIMIT {_BATCH}", parameters)
        return [_receipt(*row) for row in cursor]


def _receipt(id, created_at, closed_at, outcome, client_ip, peer, actor) -> Receipt:
    return Receipt(
        id, created_at, closed_at, _OUTCOMES[outcome], _host(client_ip), _host(peer), actor
    )


def _host(inet):
    return None if inet is None else ip_interface(inet).ip


def _announce(receipt: Receipt) -> bool:
    """Claims and sends in one transaction: a second listener waits for the first, and a
    receiver that raises gives the claim back."""
    alias = conf.get("BURN_NOTE_DATABASE")
    with transaction.atomic(using=alias):
        with connections[alias].cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {Announcement._meta.db_table} VALUES (%s, now())"
                " ON CONFLICT DO NOTHING",
                [receipt.id],
            )
            if cursor.rowcount == 0:
                return False
        note_ended.send(sender=Receipt, receipt=receipt)
        return True
