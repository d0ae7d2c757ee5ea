from django.db import migrations, models


def keep_it_here_and_for_a_while_only(apps, schema_editor):
    """ANALYZE would copy values into pg_statistic, where they survive their rows."""
    if schema_editor.connection.vendor != "postgresql":
        return
    schema_editor.execute("ALTER TABLE burn_note_sender SET UNLOGGED")
    schema_editor.execute(
        "ALTER TABLE burn_note_sender ALTER address SET STATISTICS 0,"
        " ALTER network SET STATISTICS 0, ALTER receipt_token SET STATISTICS 0"
    )


class Migration(migrations.Migration):
    dependencies = [("burn_note", "0001_initial")]
    operations = [
        migrations.CreateModel(
            name="Sender",
            fields=[
                (
                    "id",
                    models.UUIDField(help_text="burn_note.id", primary_key=True, serialize=False),
                ),
                ("created_at", models.DateTimeField()),
                ("forget_at", models.DateTimeField(db_index=True)),
                (
                    "address",
                    models.GenericIPAddressField(
                        help_text="of IPv6 the /64's first one", null=True
                    ),
                ),
                (
                    "network",
                    models.GenericIPAddressField(
                        db_index=True,
                        help_text="the first address of the /24, of IPv6 of the /48",
                        null=True,
                    ),
                ),
                ("nonce", models.BinaryField()),
                ("receipt_token", models.BinaryField(help_text="encrypted")),
            ],
            options={"db_table": "burn_note_sender"},
        ),
        migrations.RunPython(keep_it_here_and_for_a_while_only, migrations.RunPython.noop),
    ]
