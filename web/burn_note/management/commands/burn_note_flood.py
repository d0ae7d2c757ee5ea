from collections import defaultdict
from datetime import datetime
from ipaddress import ip_network

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils import timezone

from burn_note import notes, senders


class Command(BaseCommand):
    help = (
        "Lists the unread notes that were created by the pages, by network, and with --revoke"
        " ends them, each with a receipt. It knows those of the last BURN_NOTE_SENDERS_KEPT."
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--network", type=network, help="only those from there: 203.0.113.0/24, 2001:db8::/48"
        )
        parser.add_argument("--since", type=moment, help="only from then on: 2030-05-17T08:00")
        parser.add_argument("--until", type=moment, help="only up to then")
        parser.add_argument("--revoke", action="store_true", help="end them")

    def handle(self, *args, network, since, until, revoke, **options):
        if revoke and network is None and since is None:
            raise CommandError("--revoke wants to know which: give --network or --since")
        waiting = senders.waiting(network, since, until)
        by_network = defaultdict(list)
        for sent in waiting:
            by_network[home(sent.address)].append(sent)
        for name, found in sorted(by_network.items(), key=lambda item: len(item[1])):
            first, last = (f"{timezone.localtime(s.created_at):%F %T}" for s in (found[0], found[-1]))
            self.stdout.write(f"{name:<26} {len(found):>6}  {first} to {last}")
        known = [sent for sent in waiting if sent.revocable]
        if revoke:
            ended = [sent.id for sent in known if end(sent)]
            senders.forget(ended)
            self.stdout.write(f"{len(ended)} revoked, {len(waiting) - len(ended)} left")
        if len(known) < len(waiting):
            self.stderr.write(
                f"{len(waiting) - len(known)} cannot be revoked, and may have ended: they were"
                " created under another SECRET_KEY"
            )


def end(sent):
    """Whether that note has ended now."""
    try:
        senders.revoke(sent)
    except DatabaseError as error:
        # it is being read
        if notes.sqlstate(error) != notes.LOCK_NOT_AVAILABLE:
            raise
        return False
    return True


def home(address):
    if address is None:
        return "unknown"
    return str(ip_network((address, 24 if address.version == 4 else 48), strict=False))


def network(text):
    return ip_network(text)


def moment(text):
    time = datetime.fromisoformat(text)
    if settings.USE_TZ and timezone.is_naive(time):
        return timezone.make_aware(time)
    return time
