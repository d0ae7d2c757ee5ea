"""receipts.py and the two commands: each receipt is announced, once, whatever happens.

The listeners are processes of their own, with a receiver that writes what it is sent.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from ipaddress import ip_address
from queue import Queue

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from stack import WEB, wait_until

from burn_note import notes, receipts
from burn_note.models import Announcement
from burn_note.signals import note_ended

pytestmark = pytest.mark.django_db(transaction=True)

CHANNEL = "Burn\"note's"
READER = ip_address("203.0.113.7")
PATIENCE = 180

SETTINGS = """
from project.settings import *
DATABASES["default"]["NAME"] = "{database}"
INSTALLED_APPS += ["receiver"]
"""
RECEIVER = """
import json, os, sys
from django.apps import AppConfig


def write(sender, receipt, **kwargs):
    failing = os.environ.get("FAIL_ONCE")
    if failing and os.path.exists(failing):
        os.remove(failing)
        raise ValueError("the receiver fails")
    print(json.dumps([str(receipt.id), receipt.outcome, str(receipt.client_ip)]), flush=True)


class Receiver(AppConfig):
    name = "receiver"

    def ready(self):
        from burn_note.signals import note_ended

        note_ended.connect(write)
"""


@pytest.fixture(autouse=True)
def no_receipts(superuser):
    superuser.execute("DELETE FROM burn_receipt")
    superuser.execute("DELETE FROM burn_note")
    superuser.execute("DELETE FROM burn_note_announcement")


@pytest.fixture
def channel(superuser):
    """burn_note.notify_channel, as a superuser sets it for a database."""
    name = connection.settings_dict["NAME"]
    superuser.execute("LOAD 'burn_note'")
    quoted = CHANNEL.replace("'", "''")
    superuser.execute(f"ALTER DATABASE {name} SET burn_note.notify_channel = '{quoted}'")
    connection.close()
    yield CHANNEL
    superuser.execute(f"ALTER DATABASE {name} RESET burn_note.notify_channel")
    connection.close()


def burned():
    """A read note's id."""
    token = notes.create("x")
    notes.read(token, READER)
    return note_id(token)


def note_id(token):
    with connection.cursor() as cursor:
        cursor.execute("SELECT burn_note_id(%s)", [token])
        return cursor.fetchone()[0]


@contextmanager
def connected(receiver):
    note_ended.connect(receiver)
    try:
        yield
    finally:
        note_ended.disconnect(receiver)


@contextmanager
def collecting():
    heard = []

    def receive(sender, receipt, **kwargs):
        heard.append(receipt)

    with connected(receive):
        yield heard


# In this process


def test_each_outcome_is_told_as_it_was():
    locked = notes.create("x", passphrase="p")
    for _ in range(5):
        notes.read(locked, READER, "wrong")
    revoked = notes.create("x")
    notes.revoke(revoked)
    expired = notes.create("x", timedelta(milliseconds=1))
    while notes.status(expired).state == "sealed":
        pass
    while notes.purge():
        pass
    read = burned()
    with collecting() as heard:
        assert receipts.announce() == 4
    by_id = {receipt.id: receipt for receipt in heard}
    assert by_id[note_id(locked)].outcome == "locked"
    assert by_id[note_id(revoked)].outcome == "revoked"
    assert by_id[note_id(expired)].outcome == "expired"
    assert (by_id[read].outcome, by_id[read].client_ip) == ("read", READER)
    status = notes.status(locked)
    told = by_id[note_id(locked)]
    assert (told.created_at, told.closed_at, told.client_ip, told.peer, told.actor) == (
        status.created_at,
        status.closed_at,
        READER,
        None,
        status.actor,
    )


def test_each_receipt_is_announced_once():
    ids = {burned() for _ in range(3)}
    with collecting() as heard:
        assert receipts.announce() == 3
        assert receipts.announce() == receipts.announce(ids) == 0
        ids.add(burned())
        assert receipts.announce() == 1
    assert {receipt.id for receipt in heard} == ids
    assert len(heard) == len(ids)


def test_only_those_that_were_asked_for_are_announced():
    burned()
    second = burned()
    with collecting() as heard:
        assert receipts.announce([second]) == 1
        assert receipts.announce([]) == 0
    assert [receipt.id for receipt in heard] == [second]
    assert receipts.announce() == 1


def test_more_than_a_batch_is_announced(monkeypatch):
    monkeypatch.setattr(receipts, "_BATCH", 2)
    ids = {burned() for _ in range(5)}
    with collecting() as heard:
        assert receipts.announce() == 5
    assert {receipt.id for receipt in heard} == ids


def test_a_receiver_that_fails_is_logged_and_has_its_receipt_again(caplog):
    ids = [burned() for _ in range(3)]
    failing = [ids[1]]

    def fail(sender, receipt, **kwargs):
        if receipt.id in failing:
            raise ValueError("the receiver fails")

    with connected(fail), collecting() as heard:
        assert receipts.announce() == 2
        assert [record.name for record in caplog.records] == ["burn_note.receipts"]
        failing.clear()
        assert receipts.announce() == 1
        assert receipts.announce() == 0
    assert sorted(receipt.id for receipt in heard) == sorted(ids)


def test_what_a_receiver_wrote_before_it_failed_is_undone():
    other = "00000000-0000-4000-8000-000000000000"

    def fail(sender, receipt, **kwargs):
        Announcement.objects.create(id=other)
        raise ValueError

    burned()
    with connected(fail):
        assert receipts.announce() == 0
    assert not Announcement.objects.exists()


def test_the_databases_own_failure_is_raised():
    def fail(sender, receipt, **kwargs):
        raise OperationalError

    burned()
    with connected(fail), pytest.raises(OperationalError):
        receipts.announce()
    assert receipts.announce() == 1


def test_forgetting_leaves_what_may_be_asked_again(superuser):
    kept, gone = burned(), burned()
    receipts.announce()
    superuser.execute("DELETE FROM burn_receipt WHERE id = %s", [gone])
    receipts.forget()
    assert [row.id for row in Announcement.objects.all()] == [kept]


def test_a_rolled_back_burn_is_announced_once_it_is_finished():
    token = notes.create("x")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        notes.read(token, READER)
        raise ZeroDivisionError
    assert receipts.announce() == 0
    while notes.purge():
        pass
    with collecting() as heard:
        assert receipts.announce() == 1
    assert (heard[0].id, heard[0].outcome, heard[0].client_ip) == (note_id(token), "read", READER)


def test_a_receipt_has_no_token_and_no_seal():
    burned()
    with collecting() as heard:
        receipts.announce()
    assert "n1_" not in repr(heard) and "r1_" not in repr(heard) and "seal" not in repr(heard)


def test_purging_ends_all_there_is_and_says_how_many():
    tokens = [notes.create("x", timedelta(milliseconds=1)) for _ in range(3)]
    while notes.status(tokens[-1]).state == "sealed":
        pass
    said = StringIO()
    call_command("burn_note_purge", stdout=said)
    assert said.getvalue() == "3 rows removed\n"
    assert {notes.status(token).state for token in tokens} == {"expired"}


def test_once_announces_what_there_is_and_ends():
    burned()
    said = StringIO()
    with collecting() as heard:
        call_command("burn_note_listen", once=True, stdout=said)
    assert (said.getvalue(), len(heard)) == ("1 receipts announced\n", 1)


# In others


class Listener:
    """`manage.py burn_note_listen` in a process of its own."""

    def __init__(self, directory, *arguments, **environment):
        self.lines, self.errors = Queue(), Queue()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "django", "burn_note_listen", *arguments],
            cwd=WEB,
            env=os.environ
            | {"DJANGO_SETTINGS_MODULE": "listener_settings", "PYTHONPATH": f"{directory}:{WEB}"}
            | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pumps = [
            threading.Thread(target=self.pump, args=pipe, daemon=True)
            for pipe in (
                (self.process.stdout, self.lines),
                (self.process.stderr, self.errors),
            )
        ]
        for pump in self.pumps:
            pump.start()

    @staticmethod
    def pump(stream, queue):
        for line in stream:
            queue.put(line)

    def heard(self, timeout=PATIENCE):
        """The next receipt's id, outcome and address."""
        return tuple(json.loads(self.lines.get(timeout=timeout)))

    def wait_for(self, words):
        deadline = time.monotonic() + PATIENCE
        while words not in (line := self.errors.get(timeout=deadline - time.monotonic())):
            pass
        return line

    def rest(self):
        """The ids of what nobody has heard() of one that has ended."""
        for pump in self.pumps:
            pump.join(PATIENCE)
        return [json.loads(line)[0] for line in self.lines.queue]

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def wait_until_announced(*ids):
    there = Announcement.objects.filter(id__in=ids)
    wait_until(lambda: there.count() == len(ids), "nobody announces them")


@pytest.fixture
def listen(tmp_path):
    database = connection.settings_dict["NAME"]
    (tmp_path / "listener_settings.py").write_text(SETTINGS.format(database=database))
    (tmp_path / "receiver").mkdir()
    (tmp_path / "receiver/__init__.py").touch()
    (tmp_path / "receiver/apps.py").write_text(RECEIVER)
    started = []

    def start(*arguments, **environment):
        started.append(Listener(tmp_path, *arguments, **environment))
        return started[-1]

    yield start
    for listener in started:
        listener.process.kill()
        listener.process.wait()


def test_a_receipt_is_heard_at_once_where_the_server_notifies(listen, channel):
    # not at the interval's end
    listener = listen("--interval", str(10 * PATIENCE))
    assert listener.wait_for("listening") == f"listening on {channel}\n"
    for _ in range(3):
        id = burned()
        assert listener.heard() == (str(id), "read", str(READER))
    assert listener.end() == -signal.SIGINT


def test_without_a_channel_it_is_heard_at_the_interval(listen):
    listener = listen("--interval", "0.5")
    listener.wait_for("burn_note.notify_channel is not set")
    id = burned()
    assert listener.heard()[0] == str(id)


def test_what_happened_while_nobody_listened_is_caught_up(listen, channel):
    first = listen()
    first.wait_for("listening")
    heard = burned()
    assert first.heard()[0] == str(heard)
    wait_until_announced(heard)
    first.end(signal.SIGKILL)
    missed = burned()
    second = listen()
    assert second.heard()[0] == str(missed)
    later = burned()
    assert second.heard()[0] == str(later)


def test_a_receiver_that_failed_has_its_receipt_again_at_the_interval(listen, channel, tmp_path):
    failing = tmp_path / "failing"
    failing.touch()
    listener = listen("--interval", "1", FAIL_ONCE=str(failing))
    listener.wait_for("listening")
    id = burned()
    listener.wait_for("a receiver of note_ended failed for receipt")
    assert listener.heard()[0] == str(id)


def test_two_listeners_share_the_receipts(listen, channel):
    pair = [listen("--interval", "0.2") for _ in range(2)]
    for listener in pair:
        listener.wait_for("listening")
    ids = {str(burned()) for _ in range(40)}
    wait_until_announced(*ids)
    # both are told of each, in order, and of these last
    later = {str(burned()) for _ in range(2)}
    wait_until_announced(*later)
    for listener in pair:
        listener.end()
    heard = [line for listener in pair for line in listener.rest()]
    assert sorted(heard) == sorted(ids | later)


@pytest.mark.parametrize("payload", ["", "junk", "00000000-0000-4000-8000-000000000000 read", " "])
def test_what_others_send_to_the_channel_does_not_stop_it(listen, channel, superuser, payload):
    """Whoever may connect may NOTIFY."""
    listener = listen()
    listener.wait_for("listening")
    superuser.execute("SELECT pg_notify(%s, %s)", [channel, payload])
    id = burned()
    assert listener.heard()[0] == str(id)


def test_a_lost_connection_is_made_again(listen, channel, superuser, tmp_path):
    listener = listen()
    listener.wait_for("listening")
    superuser.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND usename = 'burn_note_tests'"
    )
    connection.close()
    id = burned()
    listener.wait_for("lost the database, trying again")
    assert listener.heard()[0] == str(id)
    listener.wait_for("listening")
