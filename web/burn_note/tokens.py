"""The shape of tokens, checked without the database.

A token is `bn1_`, a receipt token `br1_`; then base64url of: expiry, milliseconds since
the Unix epoch (6 bytes, big-endian), shard (1), secret (32), check bytes (3). The check
bytes are the first of BLAKE2b-512 over a label and what stands before them, so that a
damaged link is known here, before a statement that fails could abort a transaction.
"""

import re
from base64 import urlsafe_b64decode
from datetime import datetime, timedelta, timezone
from hashlib import blake2b

from django.views.decorators.debug import sensitive_variables

NOTE = "bn1_"
RECEIPT = "br1_"

_SHAPE = re.compile(rf"(?<![A-Za-z0-9_-])(?:{NOTE}|{RECEIPT})[A-Za-z0-9_-]{{56}}(?![A-Za-z0-9_-])")
_CHECK_LABEL = b"burn_note chk v1"
_CHECKED_BYTES = 39
_EXPIRES_BYTES = 6
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LAST_EXPIRY = (datetime.max.replace(tzinfo=timezone.utc) - _EPOCH) // timedelta(milliseconds=1)


class InvalidToken(ValueError):
    """The text holds no token, or not one of the kind that belongs here. Says no more."""

    def __init__(self):
        super().__init__("invalid burn note token")


@sensitive_variables()
def find(text: str, *kinds: str) -> str:
    """Returns the one token that stands in `text`: a link, or what was pasted with it.

    `kinds` are NOTE, RECEIPT or both. Raises InvalidToken if there is none, more than
    one, one of another kind, or one whose check bytes are wrong.
    """
    found = set(_SHAPE.findall(text))
    if len(found) != 1:
        raise InvalidToken
    token = found.pop()
    if not token.startswith(kinds) or not _is_intact(token):
        raise InvalidToken
    return token


@sensitive_variables()
def require(token: str, *kinds: str) -> None:
    """Raises InvalidToken unless `token` is a token of one of `kinds` and nothing else."""
    if find(token, *kinds) != token:
        raise InvalidToken


@sensitive_variables()
def expires_at(token: str) -> datetime:
    """Until when the note can be read, in UTC, from the token alone."""
    return _EPOCH + timedelta(milliseconds=_expires(urlsafe_b64decode(token[4:])))


def _expires(body: bytes) -> int:
    return int.from_bytes(body[:_EXPIRES_BYTES], "big")


@sensitive_variables()
def _is_intact(token: str) -> bool:
    body = urlsafe_b64decode(token[4:])
    check = body[_CHECKED_BYTES:]
    computed = blake2b(_CHECK_LABEL + body[:_CHECKED_BYTES]).digest()
    # a year that Python cannot tell is nobody's expiry
    return computed[: len(check)] == check and _expires(body) <= _LAST_EXPIRY
