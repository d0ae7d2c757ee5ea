import signal
import time
from uuid import UUID

from django.core.management.base import BaseCommand
from django.db import OperationalError, connections
from psycopg import sql

from burn_note import conf, receipts

RETRY_SECONDS = 5


class Command(BaseCommand):
    help = (
        "Sends the signal burn_note.signals.note_ended for each receipt, once. It hears of"
        " them by LISTEN if the server has burn_note.notify_channel set, and looks for"
        " those that it missed at the start and at each interval."
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--interval",
            type=float,
            default=60,
            help="seconds between two looks for what was missed (default: 60)",
        )
        parser.add_argument(
            "--once", action="store_true", help="announce what there is, and do not wait"
        )

    def handle(self, *args, interval, once, **options):
        if once:
            self.stdout.write(f"{receipts.announce()} receipts announced")
            return
        # Ends at once, whatever it is doing: what is not committed comes again. An exception
        # in the midst of a receiver or a driver may be lost.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        while True:
            try:
                self.listen(interval)
            except OperationalError as error:
                self.stderr.write(f"lost the database, trying again: {error}")
                connections.close_all()
                time.sleep(RETRY_SECONDS)

    def listen(self, interval):
        """Returns never; raises OperationalError when a connection is lost."""
        # a connection of its own, which no transaction of a receiver can keep busy
        listener = connections[conf.get("BURN_NOTE_DATABASE")].copy()
        try:
            with listener.cursor() as cursor:
                cursor.execute("SELECT current_setting('burn_note.notify_channel', true)")
                (channel,) = cursor.fetchone()
            if channel:
                with listener.wrap_database_errors:
                    listener.connection.execute(
                        sql.SQL("LISTEN {}").format(sql.Identifier(channel))
                    )
            self.stderr.write(
                f"listening on {channel}" if channel else "burn_note.notify_channel is not set"
            )
            while True:
                receipts.announce()
                receipts.forget()
                self.announce_until(time.monotonic() + interval, listener)
        finally:
            listener.close()

    def announce_until(self, deadline, listener):
        while (seconds := deadline - time.monotonic()) > 0:
            with listener.wrap_database_errors:
                heard = list(listener.connection.notifies(timeout=seconds, stop_after=1))
            if ids := {id for notify in heard if (id := note_id(notify.payload))}:
                receipts.announce(ids)


def note_id(payload: str) -> UUID | None:
    """Of `<id> <outcome>`. Whoever may connect may send something else."""
    try:
        return UUID(payload.partition(" ")[0])
    except ValueError:
        return None
