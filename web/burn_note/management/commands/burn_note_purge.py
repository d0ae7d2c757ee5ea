from django.core.management.base import BaseCommand

from burn_note import notes


class Command(BaseCommand):
    help = (
        "Ends expired notes and burns that were rolled back, and removes receipts whose"
        " retention has passed. A server that preloads burn_note does this by itself."
    )

    def handle(self, *args, **options):
        removed = 0
        while rows := notes.purge():
            removed += rows
        self.stdout.write(f"{removed} rows removed")
