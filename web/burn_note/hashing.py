"""Passphrases take a server long, and it hashes only some at a time. So of this process's
threads only some may wait for that: the others go on answering everybody else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Semaphore

from django.views.decorators.debug import sensitive_variables

from . import conf


class Busy(Exception):
    """All of those threads are waiting."""


@contextmanager
@sensitive_variables("passphrase")
def place(passphrase: str | None) -> Iterator[None]:
    """Around a call that may hash `passphrase`. Raises Busy, before the call, if as many
    are under way as may be; without a passphrase, never."""
    if passphrase is None:
        yield
    elif _places().acquire(blocking=False):
        try:
            yield
        finally:
            _places().release()
    else:
        raise Busy


@cache
def _places() -> Semaphore:
    return Semaphore(conf.get("BURN_NOTE_PASSPHRASE_THREADS"))
