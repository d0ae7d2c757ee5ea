from django.db import models


class Announcement(models.Model):
    """A receipt whose signal has been sent: what burn_note_listen catches up from."""

    id = models.UUIDField(primary_key=True, help_text="burn_receipt.id")
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "burn_note_announcement"


class Sender(models.Model):
    """Who created a note: see senders.py. The table is unlogged: it is in no WAL, on no
    standby, in no base backup, and empty after a crash."""

    id = models.UUIDField(primary_key=True, help_text="burn_note.id")
    created_at = models.DateTimeField()
    forget_at = models.DateTimeField(db_index=True)
    address = models.GenericIPAddressField(null=True, help_text="of IPv6 the /64's first one")
    network = models.GenericIPAddressField(
        null=True, db_index=True, help_text="the first address of the /24, of IPv6 of the /48"
    )
    nonce = models.BinaryField()
    receipt_token = models.BinaryField(help_text="encrypted")

    class Meta:
        db_table = "burn_note_sender"
