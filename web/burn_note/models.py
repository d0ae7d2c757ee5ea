from django.db import models


class Announcement(models.Model):
    """A receipt whose signal has been sent: what burn_note_listen catches up from."""

    id = models.UUIDField(primary_key=True, help_text="burn_receipt.id")
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "burn_note_announcement"
