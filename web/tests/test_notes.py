"""notes.py: what each function answers and refuses."""

from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import psycopg
import pytest
from django.db import DatabaseError, InternalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.connection import ConnectionDoesNotExist

from burn_note import notes, tokens
from burn_note.notes import InvalidToken

pytestmark = pytest.mark.django_db(transaction=True)

V4, V6 = ip_address("203.0.113.7"), ip_address("2001:db8::7")


def refused(sqlstate):
    return pytest.raises(DatabaseError, check=lambda error: notes.sqlstate(error) == sqlstate)


@pytest.mark.parametrize(
    "note", ["the wifi password", "", "\n", "ü€\N{GRINNING FACE}", "%s %%", "x" * 10**6]
)
def test_a_text_is_read_once(note):
    token = notes.create(note)
    assert notes.read(token) == note
    assert notes.read(token) is None


@pytest.mark.parametrize("note", [b"", b"\0\xff\n", bytes(range(256)) * 100])
def test_bytes_are_read_once(note):
    token = notes.create_bytes(note)
    answer = notes.read_bytes(token)
    assert (answer, type(answer)) == (note, bytes)
    assert notes.read_bytes(token) is None


def test_the_expiry_is_as_asked_or_the_servers_default(superuser):
    for given, expected in [
        (timedelta(minutes=5), timedelta(minutes=5)),
        (None, timedelta(days=7)),
    ]:
        before = datetime.now(UTC)
        expires_at = notes.status(notes.create("x", given)).expires_at
        assert timedelta(0) <= expires_at - before - expected < timedelta(seconds=30)


def test_an_expired_note_is_not_read():
    token = notes.create("x", timedelta(microseconds=1000))
    while notes.status(token).state == "sealed":
        pass
    assert notes.read(token) is None
    assert notes.status(token).state == "expired"


@pytest.mark.parametrize(
    "create, read, note",
    [
        (notes.create, notes.read, "x"),
        (notes.create_bytes, notes.read_bytes, b"x"),
    ],
)
def test_a_passphrase_is_needed_and_a_wrong_one_costs_an_attempt(create, read, note):
    token = create(note, passphrase="p%sß")
    assert read(token) is None
    assert notes.status(token).attempts_left == 5
    assert read(token, passphrase="p%s") is None
    assert notes.status(token).attempts_left == 4
    assert read(token, passphrase="p%sß") == note


def test_the_last_wrong_passphrase_locks():
    token = notes.create("x", passphrase="right")
    for _ in range(5):
        assert notes.read(token, V4, passphrase="wrong") is None
    assert notes.status(token).state == "locked"
    assert notes.status(token).client_ip == V4
    assert notes.read(token, passphrase="right") is None
    assert notes.verify_receipt(token) is True


def test_the_status_of_a_sealed_note():
    before = datetime.now(UTC)
    token = notes.create("x", timedelta(hours=1), "p")
    status = notes.status(token)
    assert before <= status.created_at <= datetime.now(UTC)
    assert status.expires_at == tokens.expires_at(token)
    assert astuple(status)[3:] == (True, 5, None, None, None, None)
    assert notes.status(notes.create("x")).has_passphrase is False


@pytest.mark.parametrize("address", [V4, V6, None])
def test_the_status_of_a_read_note_tells_when_and_from_where(address):
    token = notes.create("x")
    before = datetime.now(UTC)
    notes.read(token, address)
    status = notes.status(notes.receipt_token(token))
    assert status.state == "read"
    assert before <= status.closed_at <= datetime.now(UTC)
    assert status.closed_at.tzinfo is not None
    assert (status.client_ip, type(status.client_ip)) == (address, type(address))
    assert status.peer is None
    assert status.actor == connection.settings_dict["USER"] or status.actor == "burn_note_tests"


def test_a_note_that_never_was_is_unknown():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        token = notes.create("x")
        raise ZeroDivisionError
    status = notes.status(token)
    assert (status.state, status.created_at, status.has_passphrase) == ("unknown", None, None)
    assert notes.read(token) is None


def test_revoking_destroys_once_by_either_token():
    token = notes.create("x")
    assert notes.revoke(notes.receipt_token(token), V6) is True
    assert notes.revoke(token) is False
    assert notes.read(token) is None
    status = notes.status(token)
    assert (status.state, status.client_ip) == ("revoked", V6)
    token = notes.create("x")
    assert notes.revoke(token) is True


def test_the_receipt_token_is_of_its_kind_and_its_own():
    token = notes.create("x")
    receipt = notes.receipt_token(token)
    tokens.require(receipt, tokens.RECEIPT)
    assert notes.receipt_token(receipt) == receipt


def test_an_altered_receipt_is_found_out(superuser):
    token = notes.create("x")
    assert notes.verify_receipt(token) is None
    notes.read(token, V4)
    assert notes.verify_receipt(token) is True
    superuser.execute(
        "UPDATE burn_receipt SET client_ip = '203.0.113.8' WHERE id = burn_note_id(%s)", [token]
    )
    assert notes.status(token).client_ip == ip_address("203.0.113.8")
    assert notes.verify_receipt(notes.receipt_token(token)) is False


def test_purging_ends_what_has_expired_and_answers_0_then():
    while notes.purge():
        pass
    tokens = [notes.create("x", timedelta(milliseconds=1)) for _ in range(3)]
    while notes.status(tokens[-1]).state == "sealed":
        pass
    assert notes.purge(2) == 2
    assert notes.purge() == 1
    assert notes.purge() == 0
    assert {notes.status(token).state for token in tokens} == {"expired"}


@pytest.mark.parametrize("expires_in", [timedelta(0), timedelta(seconds=-1), timedelta(days=91)])
def test_an_expiry_out_of_bounds_is_refused(expires_in):
    with refused("22023"):
        notes.create("x", expires_in)


def test_an_empty_passphrase_is_refused():
    with refused("22023"):
        notes.create("x", passphrase="")


def test_too_large_a_note_is_refused(superuser):
    with refused("54000"):
        notes.create_bytes(bytes(16 * 1024 * 1024 + 1))


def test_too_many_pending_notes_are_refused(superuser):
    superuser.execute("LOAD 'burn_note'")
    superuser.execute("ALTER ROLE burn_note_tests SET burn_note.max_pending = 1")
    try:
        connection.close()
        superuser.execute("DELETE FROM burn_note")
        notes.create("x")
        with refused(notes.TOO_MANY_PENDING):
            notes.create("y")
    finally:
        superuser.execute("ALTER ROLE burn_note_tests RESET burn_note.max_pending")
        connection.close()


def test_a_note_of_the_other_kind_is_refused_and_not_burned():
    text, data = notes.create("x"), notes.create_bytes(b"x")
    with refused(notes.OTHER_KIND):
        notes.read_bytes(text)
    with refused(notes.OTHER_KIND):
        notes.read(data)
    assert (notes.read(text), notes.read_bytes(data)) == ("x", b"x")


def test_a_locked_row_is_refused_and_not_burned(superuser):
    token = notes.create("x")
    with superuser.transaction():
        superuser.execute("SELECT FROM burn_note WHERE id = burn_note_id(%s) FOR UPDATE", [token])
        with refused(notes.LOCK_NOT_AVAILABLE):
            notes.read(token)
    assert notes.read(token) == "x"


def test_a_text_with_nul_is_refused():
    for arguments in (["a\0b"], ["x", None, "a\0b"]):
        with pytest.raises(DatabaseError) as caught:
            notes.create(*arguments)
        assert "a" not in str(caught.value).split() and "b" not in str(caught.value).split()


@pytest.mark.parametrize(
    "call, kinds",
    [
        (notes.read, "n"),
        (notes.read_bytes, "n"),
        (notes.status, "nr"),
        (notes.revoke, "nr"),
        (notes.receipt_token, "nr"),
        (notes.verify_receipt, "nr"),
    ],
)
def test_an_invalid_token_never_reaches_the_server(call, kinds, monkeypatch):
    token = notes.create("x")
    receipt = notes.receipt_token(token)
    wrong = [token[:-1], token + "A", f" {token}", token[:-1] + ("A" if token[-1] != "A" else "B")]
    monkeypatch.setattr(notes, "_row", lambda *a, **k: pytest.fail("it reached the server"))
    for given in wrong + ([receipt] if "r" not in kinds else []):
        with pytest.raises(InvalidToken):
            call(given)


def test_an_invalid_token_does_not_abort_a_transaction():
    token = notes.create("x")
    with transaction.atomic():
        with pytest.raises(InvalidToken):
            notes.read(token[:-1])
        assert notes.read(token) == "x"


def test_without_the_check_in_python_it_would():
    """The control of the test above."""
    token = notes.create("x")
    with pytest.raises(InternalError, match="current transaction is aborted"), transaction.atomic():
        with connection.cursor() as cursor:
            with pytest.raises(DatabaseError):
                cursor.execute("SELECT burn_read(%s)", [token[:-1]])
        notes.read(token)
    assert notes.read(token) == "x"


def test_a_call_in_a_block_that_failed_is_refused_as_djangos_own_are():
    token = notes.create("x")
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(transaction.TransactionManagementError):
            notes.read(token)
    assert notes.read(token) == "x"


def test_using_names_the_database(settings):
    with pytest.raises(ConnectionDoesNotExist):
        notes.create("x", using="other")
    settings.BURN_NOTE_DATABASE = "other"
    with pytest.raises(ConnectionDoesNotExist):
        notes.create("x")
    assert notes.read(notes.create("x", using="default"), using="default") == "x"


def test_a_lost_connection_is_djangos_error(superuser):
    lose_connection(superuser)
    with pytest.raises(DatabaseError):
        notes.create("x")
    connection.close()
    assert notes.read(notes.create("x")) == "x"


def test_a_connection_that_was_lost_since_the_last_request_is_made_again(superuser):
    """Where the project says CONN_HEALTH_CHECKS. The control is the test above."""
    lose_connection(superuser)
    server = connections["default"]
    server.health_check_enabled, server.health_check_done = True, False
    assert notes.read(notes.create("x")) == "x"


def test_a_connection_that_lives_is_not_asked_each_time(monkeypatch):
    token = notes.create("x")
    server = connections["default"]
    server.health_check_enabled, server.health_check_done = True, False
    monkeypatch.setattr(type(server), "is_usable", lambda self: pytest.fail("it was asked"))
    assert notes.read(token) == "x"


def lose_connection(superuser):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    # waits until it is gone
    superuser.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def test_a_note_created_in_a_block_is_there_once_it_has_committed(superuser):
    with transaction.atomic():
        token = notes.create("x")
        (state,) = superuser.execute("SELECT state FROM burn_status(%s)", [token]).fetchone()
        assert state == "unknown"
    (state,) = superuser.execute("SELECT state FROM burn_status(%s)", [token]).fetchone()
    assert state == "sealed"


@pytest.mark.parametrize("binding", [True, False])
def test_statements_are_bound_on_the_server_whatever_the_project_set(
    binding, superuser, settings, monkeypatch
):
    """What the server was sent, in its own words. The control is Django's cursor."""
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "server_side_binding", binding)
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
        cursor.execute("SELECT length(%s)", ["a secret"])
        assert ("a secret" in last_query(superuser, pid)) is not binding
    token = notes.create("a secret")
    # of a literal it would show '?'
    assert "burn_create($1, $2, $3)" in last_query(superuser, pid)
    assert notes.read(token) == "a secret"
    assert "burn_read($1, $2, $3)" in last_query(superuser, pid)
    connection.close()


def last_query(superuser, pid):
    return superuser.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone()[
        0
    ]


def test_the_calls_are_no_queries_that_django_captures():
    with CaptureQueriesContext(connection) as captured:
        notes.read(notes.create("x"))
    assert captured.captured_queries == []


def test_an_autocommitted_failure_leaves_the_connection_usable():
    token = notes.create_bytes(b"x")
    with refused(notes.OTHER_KIND):
        notes.read(token)
    assert connection.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
