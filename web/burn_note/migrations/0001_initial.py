from django.contrib.postgres.operations import CreateExtension
from django.db import migrations, models


class SharedExtension(CreateExtension):
    """Undoing leaves it: others may use it too."""

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        pass


class Migration(migrations.Migration):
    """Works for the database's owner, who need not be a superuser, and for a database in
    which a DBA has created the extensions already. Undoing it destroys all notes and
    receipts."""

    initial = True
    dependencies = []
    operations = [
        SharedExtension("pgcrypto"),
        CreateExtension("burn_note"),
        migrations.CreateModel(
            name="Announcement",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        help_text="burn_receipt.id", primary_key=True, serialize=False
                    ),
                ),
                ("sent_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={"db_table": "burn_note_announcement"},
        ),
    ]
