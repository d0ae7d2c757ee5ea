"""`note_ended` is sent by `manage.py burn_note_listen` for each receipt, once.

Its `sender` is burn_note.receipts.Receipt and its argument `receipt` one of those. A
receiver that raises has it again at the next round; so does one that had finished when
the command was killed before it could note that down.
"""

from django.dispatch import Signal

note_ended = Signal()
