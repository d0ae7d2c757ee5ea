from django.core.management.base import BaseCommand

from burn_note import notes, senders


class Command(BaseCommand):
    help = (
        "Ends expired notes and burns that were rolled back, and removes receipts whose"
        " retention has passed, which a server that preloads burn_note does by itself; and"
        " forgets who created notes longer than BURN_NOTE_SENDERS_KEPT ago."
    )

    def handle(self, *args, **options):
        removed = senders.forget()
        while rows := notes.purge():
            removed += rows
        self.stdout.write(f"{removed} rows removed")
