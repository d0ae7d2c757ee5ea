"""Whatever refuses: what was typed is not lost, the page looks like the others, and it says
truly what was stored or destroyed."""

import re
from contextlib import contextmanager

import psycopg
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from pages import BURN, CREATE, OPEN, REVEAL, STATUS, Browser, body, errors, fields, text, value

from burn_note import notes, senders, views

pytestmark = pytest.mark.django_db(transaction=True)

TYPED = fields(text="\nkeep <me>\n", expires="week", passphrase="seven green bottles")
NOTHING = "Nothing was stored or destroyed."
PERHAPS_STORED = "It is not sure whether your note was stored."
PERHAPS_DESTROYED = "It is not sure whether the note was destroyed."
ORIGIN = {"HTTP_ORIGIN": "https://testserver"}


@pytest.fixture
def client():
    return Browser(raise_request_exception=False)


def is_filled(response):
    assert text(response, "id_text") == TYPED["text"]
    assert value(response, "passphrase") == TYPED["passphrase"]
    assert re.search(r'value="week"[^>]* checked', body(response))
    assert "What you put in is still here." in body(response)
    assert "<title>Error: New note" in body(response)
    return is_ours(response)


def is_ours(response):
    for name, expected in views.HEADERS.items():
        assert response[name].removesuffix("; connect-src 'self'") == expected
    return 'class="brand"' in body(response)


@contextmanager
def database_away():
    def refuse(*_args, **_kwargs):
        raise psycopg.OperationalError("no server")

    connection.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg, "connect", refuse)
        yield


@contextmanager
def cut_after(statement):
    """The server does what it is asked for, and the connection is cut before we hear of it."""
    fetchone = psycopg.Cursor.fetchone

    def cut(cursor):
        row = fetchone(cursor)
        if statement.encode() in cursor._query.query:
            raise psycopg.OperationalError("the connection was cut")
        return row

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Cursor, "fetchone", cut)
        yield
    connection.close()


def count(superuser):
    return superuser.execute("SELECT count(*) FROM burn_note").fetchone()[0]


# While PostgreSQL is away


def test_without_a_database_the_form_comes_back_and_nothing_is_stored(client):
    with database_away():
        response = client.post(CREATE, TYPED)
    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0
    assert NOTHING in body(response)
    assert is_filled(response)


@pytest.mark.parametrize("path", [OPEN, REVEAL, STATUS, BURN])
def test_without_a_database_nothing_is_destroyed(client, path):
    token = notes.create("x", None, "right")
    with database_away():
        response = client.post(path, {"link": token, "passphrase": "right", "confirmed": "yes"})
    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0
    assert NOTHING in body(response) and "reload this page" in body(response)
    assert is_ours(response)
    assert notes.status(token).state == "sealed"


def test_without_a_database_the_link_stays_to_be_shown(client):
    location = client.post(CREATE, TYPED)["Location"]
    with database_away():
        response = client.get(location)
    assert response.status_code == 503
    assert "Your note is stored, and this page still has its link. Reload it" in body(response)
    assert "sends the same once more" not in body(response)
    assert client.get(location).status_code == 200


# When a statement was sent, and its answer is lost


def test_a_note_that_may_be_stored_is_not_said_to_be_not(client, superuser):
    before = count(superuser)
    with cut_after("burn_create"):
        response = client.post(CREATE, TYPED)
    assert count(superuser) == before + 1
    assert response.status_code == 503
    assert PERHAPS_STORED in body(response) and NOTHING not in body(response)
    assert is_filled(response)


@pytest.mark.parametrize(
    "path, statement", [(REVEAL, "burn_read"), (BURN, "burn_revoke"), (BURN, "burn_status")]
)
def test_a_note_that_may_be_destroyed_is_not_said_to_be_not(client, path, statement):
    token = notes.create("x", None, "right")
    with cut_after(statement):
        response = client.post(path, {"link": token, "passphrase": "right", "confirmed": "yes"})
    assert notes.status(token).state != "sealed"
    assert response.status_code == 503
    assert PERHAPS_DESTROYED in body(response) and "Nothing was" not in body(response)
    assert is_ours(response)


def test_a_wrong_passphrase_whose_count_is_unknown_is_not_said_to_have_cost_nothing(client):
    token = notes.create("x", None, "right")
    for _ in range(4):
        notes.read(token, None, "wrong")
    with cut_after("burn_status"):
        response = client.post(REVEAL, {"link": token, "passphrase": "wrong"})
    assert notes.status(token).state == "locked"
    assert PERHAPS_DESTROYED in body(response) and "Nothing was" not in body(response)


def test_a_note_that_was_destroyed_and_not_shown_is_said_to_be(client, monkeypatch):
    token = notes.create("x")

    def fail(_note):
        raise RuntimeError

    monkeypatch.setattr(views, "_shown", fail)
    response = client.post(REVEAL, {"link": token})
    assert response.status_code == 500
    assert "The note was destroyed, and this page failed to show it." in body(response)
    assert "Retry-After" not in response.headers and "reload" not in body(response)
    assert is_ours(response)


# What else is refused


def test_an_error_of_ours_gives_the_form_back(client, monkeypatch):
    def fail(*_args):
        raise RuntimeError

    monkeypatch.setattr(senders, "create", fail)
    response = client.post(CREATE, TYPED)
    assert response.status_code == 500
    assert PERHAPS_STORED in body(response)
    assert is_filled(response)


def test_a_page_that_cannot_be_made_is_told_in_plain_words(client, monkeypatch):
    def fail(*_args):
        raise RuntimeError

    monkeypatch.setattr("burn_note.templatetags.burn_note.Fixed.render", fail)
    token = notes.create("the wifi password")
    response = client.post(REVEAL, {"link": token})
    assert response.status_code == 500
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert "The note was destroyed, and this page failed to show it." in body(response)
    assert response["Cache-Control"] == "no-store, private"


def test_a_page_that_was_open_for_too_long_keeps_what_was_typed(superuser):
    client = Browser(enforce_csrf_checks=True)
    before = count(superuser)
    refused = client.post(CREATE, TYPED, **ORIGIN)
    assert refused.status_code == 403
    assert "This page was open for too long" in body(refused) and NOTHING in body(refused)
    assert is_filled(refused) and count(superuser) == before
    again = TYPED | {"csrfmiddlewaretoken": value(refused, "csrfmiddlewaretoken")}
    assert client.post(CREATE, again, **ORIGIN).status_code == 302
    assert count(superuser) == before + 1


def test_what_another_site_sends_is_not_put_into_the_form():
    client = Browser(enforce_csrf_checks=True)
    for origin in ({}, {"HTTP_ORIGIN": "https://evil.example"}, {"HTTP_ORIGIN": "null"}):
        refused = client.post(CREATE, TYPED, **origin)
        assert refused.status_code == 403
        assert "keep" not in body(refused)
        assert "Go back, reload the page and try again." in body(refused)
        assert is_ours(refused)


def test_a_file_has_to_be_chosen_again_and_the_page_says_so(client):
    file = SimpleUploadedFile("a", b"x")
    with database_away():
        response = client.post(CREATE, TYPED | {"text": "", "file": file})
    assert "What you put in is still here, but for the file." in body(response)
    assert "Choose the file again" in body(response)
    assert errors(response) == []
    assert "Choose the file again" not in body(client.get(CREATE))


def test_a_page_that_is_not_there_looks_like_the_others(client):
    response = client.get("/open/%23bn1_x")
    assert response.status_code == 404
    assert "There is no page here." in body(response)
    assert is_ours(response)


def test_what_django_does_not_understand_looks_like_the_others(client):
    response = client.get(OPEN, HTTP_HOST="evil.example")
    assert response.status_code == 400
    assert "The server does not understand" in body(response) and NOTHING in body(response)
    assert is_ours(response)


def test_a_method_that_a_page_does_not_know_is_told_in_a_page(client):
    share = client.post(CREATE, TYPED)["Location"]
    for path, allowed in ((OPEN, "GET, POST, HEAD"), (share, "GET, HEAD")):
        response = client.put(path)
        assert (response.status_code, response["Allow"]) == (405, allowed)
        assert "The server does not understand" in body(response) and NOTHING in body(response)
        assert is_ours(response)


# Where the cursor is


def focused(response):
    return re.findall(r"<(\w+)\b[^>]*? autofocus(?:[^>]*? id=\"(\w+)\")?", body(response))


def test_the_cursor_is_where_the_error_is(client):
    assert focused(client.get(CREATE)) == [("textarea", "id_text")]
    page = client.post(CREATE, TYPED | {"expires": "custom", "custom_number": "9999"})
    assert focused(page) == [("input", "id_custom_number")]
    page = client.post(CREATE, TYPED | {"text": ""})
    assert focused(page) == [("textarea", "id_text")]
    with database_away():
        page = client.post(CREATE, TYPED)
    assert focused(page) == [("div", "")]
    for path in (OPEN, STATUS):
        assert focused(client.get(path)) == []
        assert focused(client.post(path, {"link": "x"})) == [("input", "id_link")]
    token = notes.create("x", None, "right")
    assert focused(client.post(OPEN, {"link": token})) == []
    page = client.post(REVEAL, {"link": token, "passphrase": "wrong"})
    assert focused(page) == [("input", "id_passphrase")]


def test_the_title_says_that_there_is_an_error(client):
    for path in (CREATE, OPEN, STATUS):
        assert "<title>Error: " not in body(client.get(path))
        assert "<title>Error: " in body(client.post(path, {"link": "x"}))
    token = notes.create("x", None, "right")
    assert "<title>Error: " not in body(client.post(OPEN, {"link": token}))
    page = client.post(REVEAL, {"link": token, "passphrase": "wrong"})
    assert "<title>Error: A note for you" in body(page)
