"""Destroy-on-read notes, by the PostgreSQL extension of the same name.

To call it from your own code you need two modules: `burn_note.notes` (create, read,
status, revoke ...) and `burn_note.addresses` (who is asking). The rest are pages.
"""
