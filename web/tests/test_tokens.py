"""tokens.py against the published vectors and against tokens that the server made."""

from base64 import urlsafe_b64encode
from datetime import datetime, timedelta, timezone
from hashlib import blake2b
from pathlib import Path

import psycopg
import pytest

from burn_note import notes, tokens
from burn_note.tokens import NOTE, RECEIPT, InvalidToken

VECTORS = Path(__file__).parents[2] / "test/vectors.txt"


def vectors():
    blocks = VECTORS.read_text().split("\n\n")
    parsed = [
        dict(line.split(" = ", 1) for line in block.splitlines() if " = " in line)
        for block in blocks
    ]
    return [block for block in parsed if "token" in block]


# what Python's datetime can tell; the others are below
TELLABLE = [vector for vector in vectors() if int(vector["expires"]) < 2**47]


def forge(prefix=NOTE, *, expires=1767225600000, shard=0, secret=bytes(32)):
    body = expires.to_bytes(6, "big") + bytes([shard]) + secret
    check = blake2b(b"burn_note chk v1" + body).digest()[:3]
    return prefix + urlsafe_b64encode(body + check).decode()


GOOD = forge()


@pytest.mark.parametrize("vector", TELLABLE, ids=lambda v: v["case"])
def test_the_published_tokens_are_intact_and_tell_their_expiry(vector):
    tokens.require(vector["token"], NOTE)
    tokens.require(vector["receipt_token"], RECEIPT)
    expires_at = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(
        milliseconds=int(vector["expires"])
    )
    assert tokens.expires_at(vector["token"]) == expires_at
    assert tokens.expires_at(vector["receipt_token"]) == expires_at


@pytest.mark.django_db
def test_the_servers_tokens_are_intact_and_tell_its_expiry():
    for days in (1, 30, 90):
        token = notes.create("x", timedelta(days=days))
        receipt = notes.receipt_token(token)
        assert tokens.find(token, NOTE) == token
        assert tokens.find(receipt, RECEIPT) == receipt
        assert tokens.expires_at(token) == notes.status(token).expires_at


@pytest.mark.django_db
def test_no_mistyped_token_passes_here_nor_at_the_server(superuser):
    token = notes.create("x")
    for position in range(4, len(token)):
        wrong = "A" if token[position] != "A" else "B"
        damaged = token[:position] + wrong + token[position + 1 :]
        with pytest.raises(InvalidToken):
            tokens.require(damaged, NOTE)
        with pytest.raises(psycopg.DatabaseError, check=lambda error: error.sqlstate == "UB001"):
            superuser.execute("SELECT burn_note_id(%s)", [damaged])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a note",
        GOOD[:-1],
        GOOD + "A",
        "A" + GOOD,
        GOOD.replace("bn1_", "bn2_"),
        GOOD.upper(),
        GOOD[:20] + " " + GOOD[20:],
        GOOD[:20] + "+" + GOOD[21:],
        GOOD[:20] + "\N{CYRILLIC SMALL LETTER A}" + GOOD[21:],
        GOOD + "\0",
    ],
)
def test_what_is_no_token_alone_is_refused(text):
    with pytest.raises(InvalidToken):
        tokens.require(text, NOTE, RECEIPT)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"  {GOOD}\n",
        f"https://example.org/open/#{GOOD}",
        f"Hello,\nhere it is: <https://example.org/open/#{GOOD}>. Bye",
        f"(https://example.org/open/#{GOOD})",
        f"https://example.org/open/#{GOOD} {GOOD}",
    ],
)
def test_a_token_is_found_in_what_was_pasted_with_it(text):
    assert tokens.find(text, NOTE) == GOOD


def test_two_different_tokens_are_refused():
    with pytest.raises(InvalidToken):
        tokens.find(f"{GOOD} {forge(shard=1)}", NOTE)


@pytest.mark.parametrize("given, wanted", [(NOTE, RECEIPT), (RECEIPT, NOTE)])
def test_a_token_of_the_other_kind_is_refused(given, wanted):
    token = forge(given)
    assert tokens.find(token, NOTE, RECEIPT) == token
    with pytest.raises(InvalidToken):
        tokens.find(token, wanted)


def test_an_expiry_that_python_cannot_tell_is_refused():
    end = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=timezone.utc)
    last = int(end.timestamp() * 1000)
    assert tokens.expires_at(tokens.find(forge(expires=last), NOTE)) == end
    untellable = [vector["token"] for vector in vectors() if vector not in TELLABLE]
    assert untellable
    for token in [*untellable, forge(expires=last + 1)]:
        with pytest.raises(InvalidToken):
            tokens.find(token, NOTE)


def test_the_error_does_not_repeat_the_token():
    with pytest.raises(InvalidToken) as caught:
        tokens.find(GOOD[:-1], NOTE)
    assert GOOD[4:20] not in repr(caught.value) + str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
