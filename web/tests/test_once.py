"""Once and gone, through the pages and under somebody else's transactions."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection, connections, transaction
from pages import REVEAL, Browser, create, text

from burn_note import notes

pytestmark = pytest.mark.django_db(transaction=True)

READERS = 20


@pytest.mark.parametrize("round", range(3))
def test_of_20_threads_that_open_one_link_one_wins(client, round):
    token, _page = create(client, text="the wifi password")
    at_once = Barrier(READERS)

    def open_link(number):
        browser = Browser(REMOTE_ADDR=f"192.0.2.{number}")
        at_once.wait()
        try:
            return number, browser.post(REVEAL, {"link": token})
        finally:
            connections.close_all()

    with ThreadPoolExecutor(READERS) as pool:
        answers = list(pool.map(open_link, range(READERS)))
    ((winner, page),) = [answer for answer in answers if answer[1].status_code == 200]
    assert text(page, "note") == "the wifi password"
    losers = [page for number, page in answers if number != winner]
    assert {page.status_code for page in losers} == {410}
    assert not [page for page in losers if b"the wifi password" in page.content]
    assert str(notes.status(token).client_ip) == f"192.0.2.{winner}"


def test_after_an_exception_under_atomic_requests_the_note_stays_burned(
    client, monkeypatch, settings
):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    settings.ROOT_URLCONF = "foreign"
    token = notes.create("the wifi password")
    with pytest.raises(RuntimeError, match="after the read"):
        client.post("/read-and-fail/", {"link": token})
    assert notes.read(token) is None
    assert notes.status(token).state == "read"
    assert notes.verify_receipt(token) is True


def test_that_view_is_rolled_back(client, monkeypatch, settings, superuser):
    """The control of the test above: all else that the view did is undone, the note's row
    is there, and its fuse is what remembers."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    settings.ROOT_URLCONF = "foreign"
    token = notes.create("x")
    with pytest.raises(RuntimeError):
        client.post("/read-and-fail/", {"link": token})
    rows = "SELECT count(*) FROM burn_note WHERE id = burn_note_id(%s)"
    assert superuser.execute(rows, [token]).fetchone() == (1,)
    while notes.purge():
        pass
    assert superuser.execute(rows, [token]).fetchone() == (0,)
    assert notes.status(token).state == "read"


def test_a_savepoint_that_is_undone_does_not_unburn():
    token = notes.create("x")
    with transaction.atomic():
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            assert notes.read(token) == "x"
            raise ZeroDivisionError
        assert notes.read(token) is None
