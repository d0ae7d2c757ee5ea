"""The pages: what each one does, says, refuses and never does."""

import base64
import html
import importlib
import re
from datetime import timedelta
from ipaddress import ip_address
from urllib.parse import unquote

import psycopg
import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DataError, connection
from django.http import HttpResponse
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.test.utils import override_script_prefix
from django.urls import get_resolver
from pages import (
    BURN,
    CREATE,
    OPEN,
    REVEAL,
    STATUS,
    Browser,
    body,
    create,
    errors,
    fields,
    heading,
    links,
    text,
    value,
)
from stack import wait_until
from test_tokens import forge

from burn_note import notes, tokens, views
from burn_note.files import File

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = [CREATE, OPEN, REVEAL, STATUS, BURN]
SHARE = "/share/abcdefgh/"
READER = ip_address("192.0.2.7")
UNKNOWN = forge()


def sealed(token):
    return notes.status(token).state == "sealed"


def count(superuser):
    return superuser.execute("SELECT count(*) FROM burn_note").fetchone()[0]


# Create and share


def test_a_journey(client):
    token, page = create(client, text="the wifi password")
    assert links(page)[0] == f"https://testserver{OPEN}#{token}"
    waiting = client.post(OPEN, {"link": links(page)[0]})
    assert (waiting.status_code, heading(waiting)) == (200, "A note waits for you")
    revealed = client.post(REVEAL, {"link": value(waiting, "link"), "passphrase": ""})
    assert (revealed.status_code, text(revealed, "note")) == (200, "the wifi password")
    assert "This note is now destroyed." in body(revealed)
    gone = client.post(REVEAL, {"link": token})
    assert (gone.status_code, heading(gone)) == (410, "This note is gone")
    assert "the wifi password" not in body(gone)
    status = client.post(STATUS, {"link": links(page)[1]})
    assert heading(status) == "It was read"
    assert f'<dd class="verbatim">{READER}</dd>' in body(status)


def test_the_link_is_shown_after_a_redirect_and_reload_makes_no_second_note(client, superuser):
    before = count(superuser)
    response = client.post(CREATE, fields(text="x"))
    assert response.status_code == 302
    assert not re.search("b[nr]1_", response["Location"])
    assert count(superuser) == before + 1
    client.get(response["Location"])
    client.get(response["Location"])
    assert count(superuser) == before + 1


def test_a_script_is_told_where_the_link_is_and_does_not_use_it_up(client):
    response = client.post(CREATE, fields(text="x", scripted="yes"))
    assert (response.status_code, body(response)) == (201, "")
    assert client.get(response["Location"]).status_code == 200


def test_the_link_is_shown_once(client):
    token, page = create(client, text="x")
    again = client.get(page.request["PATH_INFO"])
    assert (again.status_code, heading(again)) == (410, "This link was shown once")
    assert token not in body(again)


def test_the_link_is_shown_to_who_made_it(client):
    response = client.post(CREATE, fields(text="x"))
    assert Browser().get(response["Location"]).status_code == 410
    client.get(CREATE)
    assert client.get(SHARE).status_code == 410
    assert client.get(response["Location"]).status_code == 200


def test_a_head_request_does_not_use_the_link_up(client):
    location = client.post(CREATE, fields(text="x"))["Location"]
    assert client.head(location).status_code == 200
    assert client.get(location).status_code == 200
    assert client.head(location).status_code == 410


@pytest.mark.parametrize("cookie", ["", "x", UNKNOWN[:-1], forge(tokens.RECEIPT)])
def test_a_cookie_that_is_no_token_shows_nothing(client, cookie):
    client.jar[views.COOKIE, SHARE] = cookie
    assert client.get(SHARE).status_code == 410


def test_the_sender_may_open_the_link_and_is_not_told_otherwise(client):
    token, page = create(client, text="x")
    assert "Opening it says that a note waits; showing the note destroys it." in body(page)
    assert "open it yourself" not in body(page)
    assert "opens it first reads it" not in body(client.get(CREATE))
    assert client.post(OPEN, {"link": links(page)[0]}).status_code == 200
    assert sealed(token)


def test_the_share_page_says_what_was_asked_for(client):
    token, page = create(client, text="x", expires="week", passphrase="p")
    status = notes.status(token)
    assert status.expires_at - status.created_at >= timedelta(days=7) - timedelta(seconds=1)
    assert status.expires_at.isoformat()[:19] in body(page)
    assert "The reader needs the passphrase as well." in body(page)
    assert links(page)[1] == f"https://testserver{STATUS}#{notes.receipt_token(token)}"
    assert "<svg" in body(page)
    assert "passphrase as well" not in body(create(client, text="x")[1])


def test_two_notes_made_at_once_are_both_shown(client):
    first, second = (client.post(CREATE, fields(text="x"))["Location"] for _ in range(2))
    pages = [client.get(location) for location in (first, second)]
    assert len({links(page)[0] for page in pages}) == 2


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"text": "keep me" + "x" * 100_000},
        {"text": "keep me", "expires": "never"},
        {"text": "keep me", "expires": "custom", "custom_number": "9999"},
        {"text": "keep me\0"},
        {"text": "keep me", "passphrase": "p" * 1001},
        {"text": "keep me", "passphrase": "a\0b"},
    ],
)
def test_what_is_refused_is_said_stores_nothing_and_loses_nothing(client, superuser, changed):
    before = count(superuser)
    response = client.post(CREATE, fields(**changed))
    assert response.status_code == 200
    assert len(errors(response)) == 1
    assert text(response, "id_text") == changed.get("text", "")
    assert count(superuser) == before


def test_a_text_larger_than_django_reads_is_refused_in_words(client, superuser, settings):
    before = count(superuser)
    response = client.post(CREATE, fields(text="x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)))
    assert response.status_code == 413
    assert "That is more than a note may hold. Nothing was stored." in body(response)
    assert "It did not arrive, so it cannot be shown here again." in body(response)
    assert count(superuser) == before


def test_who_names_another_encoding_sends_utf_8_all_the_same(client):
    kind = f"{MULTIPART_CONTENT}; charset=raw_unicode_escape"
    response = client.post(CREATE, encode_multipart(BOUNDARY, fields(text=r"\ud800")), kind)
    (token, _) = links(client.get(response["Location"]))
    assert notes.read(tokens.find(token, tokens.NOTE)) == r"\ud800"


def test_a_text_larger_than_the_server_takes_is_refused_in_words(client, superuser, settings):
    with server_setting(superuser, "burn_note.max_note_size", "1kB"):
        response = client.post(CREATE, fields(text="x" * 2000))
    assert response.status_code == 413
    assert "That is more than a note may hold. Nothing was stored." in body(response)


def test_an_expiry_beyond_what_the_server_takes_is_refused_in_words(client, superuser):
    before = count(superuser)
    with server_setting(superuser, "burn_note.max_ttl", "1h"):
        response = client.post(CREATE, fields(text="x", expires="week"))
    assert response.status_code == 400
    assert "The server does not keep a note for that long. Nothing was stored." in body(response)
    assert count(superuser) == before


def test_too_many_waiting_notes_are_refused_in_words(client, superuser):
    with server_setting(superuser, "burn_note.max_pending", "1"):
        superuser.execute("DELETE FROM burn_note")
        assert client.post(CREATE, fields(text="x")).status_code == 302
        response = client.post(CREATE, fields(text="x"))
    assert response.status_code == 503
    assert "Too many notes are waiting to be read. Nothing was stored." in body(response)


class server_setting:
    """One of the server's settings for the role that the tests use."""

    def __init__(self, superuser, name, value):
        self.superuser, self.name, self.value = superuser, name, value

    def __enter__(self):
        self.superuser.execute("LOAD 'burn_note'")
        self.superuser.execute(f"ALTER ROLE burn_note_tests SET {self.name} = '{self.value}'")
        connection.close()

    def __exit__(self, *_):
        self.superuser.execute(f"ALTER ROLE burn_note_tests RESET {self.name}")
        connection.close()


# Open and reveal


@pytest.mark.parametrize("method", ["get", "head", "options"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"HTTP_PURPOSE": "prefetch", "HTTP_SEC_PURPOSE": "prefetch;prerender"},
        {"HTTP_USER_AGENT": "Slackbot-LinkExpanding 1.0"},
    ],
)
@pytest.mark.parametrize("path", PAGES)
def test_no_get_changes_anything_or_shows_anything(client, method, headers, path):
    token = notes.create("the wifi password")
    for data in ({}, {"link": token}, {"link": token, "confirmed": "yes", "passphrase": ""}):
        response = getattr(client, method)(path, data, **headers)
        assert response.status_code in (200, 302, 405)
        assert "the wifi password" not in body(response)
        assert token not in response.get("Location", "")
    assert sealed(token)


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
@pytest.mark.parametrize("path", PAGES)
def test_other_methods_are_refused(client, method, path):
    token = notes.create("x")
    response = getattr(client, method)(path, f"link={token}&confirmed=yes")
    assert response.status_code == 405
    assert sealed(token)


def test_opening_tells_until_when_and_whether_a_passphrase_is_needed(client):
    for passphrase in ("p", None):
        token = notes.create("the wifi password", timedelta(hours=3), passphrase)
        page = client.post(OPEN, {"link": token})
        assert page.status_code == 200
        assert notes.status(token).expires_at.isoformat()[:19] in body(page)
        assert ("5 attempts are left" in body(page)) is (passphrase is not None)
        assert ('name="passphrase"' in body(page)) is (passphrase is not None)
        assert "the wifi password" not in body(page)
        assert sealed(token)


@pytest.mark.parametrize("path", [OPEN, STATUS])
@pytest.mark.parametrize("link", [UNKNOWN[:-1], "hello", UNKNOWN[:-1] + "*", "a\0b", "x" * 3000])
def test_a_damaged_link_is_told_from_one_that_is_gone(client, path, link):
    page = client.post(path, {"link": link})
    assert page.status_code == 200
    assert len(errors(page)) == 1
    assert value(page, "link") == link


def test_a_damaged_link_is_told_as_such(client):
    (complaint,) = errors(client.post(OPEN, {"link": UNKNOWN[:-1]}))
    assert complaint.startswith("This link is damaged or cut short.")


def test_the_status_link_does_not_open(client):
    token = notes.create("x")
    receipt = notes.receipt_token(token)
    (complaint,) = errors(client.post(OPEN, {"link": receipt}))
    assert complaint.startswith("This is a status link")
    assert client.post(REVEAL, {"link": receipt})["Location"] == OPEN
    assert sealed(token)


@pytest.mark.parametrize("path, back", [(REVEAL, OPEN), (BURN, STATUS)])
@pytest.mark.parametrize("link", ["", "hello", UNKNOWN[:-1]])
def test_a_page_that_needs_a_link_leads_to_where_it_is_asked_for(client, path, back, link):
    for response in (client.get(path), client.post(path, {"link": link, "confirmed": "yes"})):
        assert (response.status_code, response["Location"]) == (302, back)


def test_a_wrong_passphrase_costs_an_attempt_and_a_missing_one_none(client):
    token = notes.create("the wifi password", passphrase="right")
    page = client.post(REVEAL, {"link": token, "passphrase": ""})
    assert errors(page) == ["This note needs its passphrase."]
    assert "5 attempts are left" in body(page)
    page = client.post(REVEAL, {"link": token, "passphrase": "wrong"})
    assert errors(page) == ["That is not the passphrase."]
    assert "4 attempts are left" in body(page)
    page = client.post(REVEAL, {"link": token, "passphrase": "p" * 1001})
    assert "4 attempts are left" in body(page)
    page = client.post(REVEAL, {"link": token, "passphrase": "a\0b"})
    assert errors(page) == ["Null characters are not allowed."]
    assert "4 attempts are left" in body(page)
    page = client.post(REVEAL, {"link": value(page, "link"), "passphrase": "right"})
    assert text(page, "note") == "the wifi password"


@pytest.mark.parametrize("make", [notes.create, lambda *a: notes.create_bytes(b"x", *a[1:])])
def test_five_wrong_passphrases_destroy_the_note(client, make):
    token = make("x", None, "right")
    for left in (4, 3, 2, 1):
        page = client.post(REVEAL, {"link": token, "passphrase": "wrong"})
        assert re.search(rf"\b{left} attempts? (?:is|are) left", body(page))
    page = client.post(REVEAL, {"link": token, "passphrase": "wrong"})
    assert page.status_code == 410
    assert "Too many wrong passphrases destroyed it on" in body(page)
    assert "someone else has the link and tried to open it" in body(page)
    assert client.post(REVEAL, {"link": token, "passphrase": "right"}).status_code == 410


def test_a_passphrase_with_a_file_costs_no_attempt_for_its_kind(client):
    token = notes.create_bytes(File("a", b"x").to_note(), None, "right")
    client.post(REVEAL, {"link": token, "passphrase": "wrong"})
    assert notes.status(token).attempts_left == 4
    response = client.post(REVEAL, {"link": token, "passphrase": "right"})
    assert response.getvalue() == b"x"


def read(token):
    notes.read(token)


SOON = timedelta(seconds=0.5)


def expire(token):
    wait_until(lambda: not sealed(token), "it does not expire")


@pytest.mark.parametrize(
    "end, words, warns",
    [
        (read, "It was opened on", True),
        (notes.revoke, "Its sender destroyed it unread on", False),
        (expire, "Nobody opened it in time. It expired on", False),
    ],
)
@pytest.mark.parametrize("path", [OPEN, REVEAL])
def test_a_note_that_is_gone_says_why(client, path, end, words, warns):
    token = notes.create("the wifi password", SOON if end is expire else None)
    end(token)
    page = client.post(path, {"link": token})
    assert page.status_code == 410
    assert words in body(page)
    assert ("If it was not you, tell the sender" in body(page)) is warns
    assert "the wifi password" not in body(page)


def test_a_note_that_never_was_is_gone_too(client):
    page = client.post(OPEN, {"link": UNKNOWN})
    assert page.status_code == 410
    assert "There is no note behind this link, and no record of one any more." in body(page)
    assert "If it was not you, tell the sender" in body(page)


def test_a_note_that_is_locked_by_somebody_else_is_kept(client, superuser):
    token = notes.create("the wifi password")
    with superuser.transaction():
        superuser.execute("SELECT FROM burn_note WHERE id = burn_note_id(%s) FOR UPDATE", [token])
        page = client.post(REVEAL, {"link": token})
    assert page.status_code == 503
    assert "Nothing was destroyed. Try again in a moment." in body(page)
    assert text(client.post(REVEAL, {"link": token}), "note") == "the wifi password"


def test_a_note_is_kept_while_a_standby_is_missing(client, superuser):
    token = notes.create("the wifi password")
    # or it would wait for the standby itself
    superuser.execute("SET synchronous_commit = local")
    superuser.execute("ALTER SYSTEM SET synchronous_standby_names = 'missing'")
    try:
        superuser.execute("SELECT pg_reload_conf()")
        with pytest.raises(psycopg.DatabaseError, check=lambda error: error.sqlstate == "UB004"):
            another = "SELECT burn_read(burn_create('another'))"
            wait_until(lambda: not superuser.execute(another), "no standby is missing")
        page = client.post(REVEAL, {"link": token})
    finally:
        superuser.execute("ALTER SYSTEM RESET synchronous_standby_names")
        superuser.execute("SELECT pg_reload_conf()")
    assert page.status_code == 503
    assert "Nothing was destroyed. Try again in a moment." in body(page)
    pages = []

    def shown():
        pages.append(client.post(REVEAL, {"link": token}))
        return pages[-1].status_code != 503

    wait_until(shown, "the standby is missed for ever")
    assert text(pages[-1], "note") == "the wifi password"


def test_a_damaged_link_is_told_from_a_bad_address(client, monkeypatch):
    """What the server answers to what gets past the checks in Python."""
    token = notes.create("the wifi password")
    monkeypatch.setattr(tokens, "_is_intact", lambda token: True)
    damaged = token[:-1] + ("A" if token[-1] != "A" else "B")
    page = client.post(OPEN, {"link": damaged})
    assert page.status_code == 400
    assert "This link is damaged" in body(page)
    monkeypatch.setattr(views, "client_ip", lambda request: "no address")
    with pytest.raises(DataError):
        client.post(REVEAL, {"link": token})
    assert sealed(token)


AS_TYPED = [
    "tabs\tand  spaces ",
    "ü€\N{GRINNING FACE}\N{RIGHT-TO-LEFT OVERRIDE}",
    "{{ text }}{% csrf_token %} %s %(x)s",
    "&amp; &lt;",
]


@pytest.mark.parametrize(
    "typed, kept",
    [
        ("\r\n\r\nafter two lines\r\n", "\n\nafter two lines\n"),
        *[(kept, kept) for kept in AS_TYPED],
    ],
)
def test_a_text_is_shown_as_it_was_typed(client, typed, kept):
    token, _page = create(client, text=typed)
    assert text(client.post(REVEAL, {"link": token}), "note") == kept


def test_html_in_a_note_is_text(client):
    attack = "</textarea><script src=x></script><img src=x onerror=alert(1)>'\""
    token, _page = create(client, text=attack)
    page = client.post(REVEAL, {"link": token})
    assert attack not in body(page) and "<script src=x>" not in body(page)
    assert text(page, "note") == attack
    page = client.post(CREATE, fields(text=attack, expires="never"))
    assert "<script src=x>" not in body(page)


def test_html_in_a_link_or_passphrase_is_text(client):
    attack = '"><script>alert(1)</script>'
    token = notes.create("x", passphrase="p")
    for page in (
        client.post(OPEN, {"link": attack}),
        client.post(STATUS, {"link": attack}),
        client.post(REVEAL, {"link": token, "passphrase": attack}),
    ):
        assert "<script>" not in body(page)


# Files

NAMES = [
    ("report.pdf", "report.pdf"),
    ("Größe €.txt", "Größe €.txt"),
    ('a "quoted" name.txt', 'a "quoted" name.txt'),
    ("; filename=evil.exe", "; filename=evil.exe"),
    ("a\rb\nSet-Cookie: x=y", "ab Set-Cookie: x=y"),
    ("../../etc/passwd", "passwd"),
    ("x" * 300, "x" * 300),
    ("<b>.txt", "<b>.txt"),
    ("", "note.bin"),
]


def attachment(response):
    """The file's name in Content-Disposition, as RFC 6266 has it."""
    header = response["Content-Disposition"]
    assert "\r" not in header and "\n" not in header
    if encoded := re.fullmatch(r"attachment; filename\*=utf-8''(.*)", header):
        return unquote(encoded[1])
    quoted = re.fullmatch(r'attachment; filename="((?:[^"\\]|\\.)*)"', header)
    return re.sub(r"\\(.)", r"\1", quoted[1])


@pytest.mark.parametrize("given, kept", NAMES)
def test_a_file_is_a_download_without_a_script(client, given, kept):
    contents = bytes(range(256))
    token = notes.create_bytes(File(given, contents).to_note())
    response = client.post(REVEAL, {"link": token})
    assert response.status_code == 200
    assert response.getvalue() == contents
    assert response["Content-Type"] == "application/octet-stream"
    assert attachment(response) == kept
    assert "Set-Cookie" not in response.headers
    assert notes.status(token).state == "read"


@pytest.mark.parametrize("given, kept", NAMES)
def test_a_file_is_in_a_page_with_a_script(client, given, kept):
    contents = bytes(range(256))
    token = notes.create_bytes(File(given, contents).to_note())
    page = client.post(REVEAL, {"link": token, "scripted": "yes"})
    assert page.status_code == 200
    download = re.search(r'<a [^>]*download="([^"]*)"', body(page))[1]
    assert html.unescape(download) == kept
    assert base64.b64decode(text(page, "contents")) == contents


def test_a_file_goes_the_whole_way(client):
    contents = b"\0\xff<script>"
    token, _page = create(client, file=SimpleUploadedFile("Größe.bin", contents))
    response = client.post(REVEAL, {"link": token})
    assert (attachment(response), response.getvalue()) == ("Größe.bin", contents)


def test_a_text_is_shown_with_a_script_too(client):
    token, _page = create(client, text="x")
    assert text(client.post(REVEAL, {"link": token, "scripted": "yes"}), "note") == "x"


# Status and burn


def test_the_status_of_a_note_that_waits(client):
    token = notes.create("x", timedelta(hours=3), "right")
    notes.read(token, None, "wrong")
    for link in (token, notes.receipt_token(token)):
        page = client.post(STATUS, {"link": link})
        assert heading(page) == "Sealed: nobody has read it"
        assert "needed; 4 attempts left" in body(page)
        assert notes.status(token).expires_at.isoformat()[:19] in body(page)
        assert "Receipt" not in body(page)
        assert token not in body(page), "the status page holds what can open the note"


def lock(token):
    for _ in range(5):
        notes.read(token, READER, "wrong")


@pytest.mark.parametrize(
    "end, title, has_seal",
    [
        (lambda token: notes.read(token, READER, "p"), "It was read", True),
        (lambda token: notes.revoke(token, READER), "It was burned unread", True),
        (lock, "Destroyed by wrong passphrases", True),
        (expire, "It expired unread", False),
    ],
)
def test_the_status_of_a_note_that_ended(client, end, title, has_seal):
    token = notes.create("x", SOON if end is expire else None, "p")
    end(token)
    page = client.post(STATUS, {"link": notes.receipt_token(token)})
    assert heading(page) == title
    assert (str(READER) in body(page)) is has_seal
    assert ("Its seal is right" in body(page)) is has_seal
    assert "Its seal is wrong" not in body(page)
    assert "Burn now" not in body(page)


def test_the_status_of_a_note_that_never_was(client):
    assert heading(client.post(STATUS, {"link": UNKNOWN})) == "No note, and no record of one"


@pytest.mark.parametrize(
    "alteration",
    ["client_ip = '203.0.113.99'", "closed_at = closed_at + '1 hour'", "outcome = 'v'"],
)
def test_an_altered_receipt_is_told(client, superuser, alteration):
    token = notes.create("x")
    notes.read(token, READER)
    superuser.execute(f"UPDATE burn_receipt SET {alteration} WHERE id = burn_note_id(%s)", [token])
    page = client.post(STATUS, {"link": notes.receipt_token(token)})
    assert "Its seal is wrong: somebody has altered this record." in body(page)


def test_burning_asks_first(client):
    token, page = create(client, text="x")
    receipt = links(page)[1]
    assert "Burn this note unread?" in body(page)
    question = client.post(BURN, {"link": receipt})
    assert "Burn this note unread?" in body(question)
    assert sealed(token)
    burned = client.post(BURN, {"link": value(question, "link"), "confirmed": "yes"})
    assert heading(burned) == "It was burned unread"
    assert notes.status(token).client_ip == READER
    again = client.post(BURN, {"link": receipt, "confirmed": "yes"})
    assert heading(again) == "It was burned unread"


def test_burning_what_was_read_says_that_it_was_read(client):
    token = notes.create("x")
    notes.read(token, READER)
    page = client.post(BURN, {"link": notes.receipt_token(token), "confirmed": "yes"})
    assert heading(page) == "It was read"


# Around the pages


def answers(client, superuser):
    """One of each page, and of each way in which one fails."""
    token, page = create(client, text="x", passphrase="p")
    yield client.get(CREATE)
    yield client.post(CREATE, fields(text="x"))
    yield client.post(CREATE, fields())
    yield client.post(CREATE, fields(text="x" * 3_000_000))
    yield page
    yield client.get(SHARE)
    yield client.get(OPEN)
    yield client.post(OPEN, {"link": "x"})
    yield client.post(OPEN, {"link": token})
    yield client.get(STATUS)
    yield client.post(STATUS, {"link": token})
    yield client.get(REVEAL)
    yield client.post(BURN, {"link": token})
    yield client.get(BURN)
    yield client.put(REVEAL)
    yield client.post(REVEAL, {"link": token, "passphrase": "wrong"})
    with superuser.transaction():
        superuser.execute("SELECT FROM burn_note WHERE id = burn_note_id(%s) FOR UPDATE", [token])
        yield client.post(REVEAL, {"link": token, "passphrase": "p"})
    yield client.post(REVEAL, {"link": token, "passphrase": "p"})
    yield client.post(REVEAL, {"link": token, "passphrase": "p"})
    yield client.post(OPEN, {"link": token})
    for name in ("", "yes"):
        token = notes.create_bytes(b"x")
        yield client.post(REVEAL, {"link": token} | ({"scripted": name} if name else {}))
    yield Browser(enforce_csrf_checks=True).post(OPEN, {"link": token})


@pytest.mark.parametrize("middleware", [True, False])
def test_each_answer_has_the_headers(client, superuser, settings, middleware):
    if not middleware:
        settings.MIDDLEWARE = []
    statuses = set()
    for response in answers(client, superuser):
        statuses.add(response.status_code)
        for name, expected in views.HEADERS.items():
            if name != "Referrer-Policy":
                got = response[name]
                if response.request["PATH_INFO"] == CREATE:
                    got = got.removesuffix("; connect-src 'self'")
                assert got == expected, (response.request["PATH_INFO"], name)
        assert response["Referrer-Policy"] in ("same-origin", "no-referrer")
    assert statuses == {200, 302, 403, 405, 410, 413, 503}


def test_the_headers_forbid_what_they_should():
    policy = dict(
        directive.strip().partition(" ")[::2]
        for directive in views.HEADERS["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert "unsafe" not in str(policy) and "*" not in str(policy)
    assert {"no-store", "private"} == set(views.HEADERS["Cache-Control"].split(", "))
    assert "noindex" in views.HEADERS["X-Robots-Tag"]


def test_no_page_has_inline_code_or_loads_from_elsewhere(client, superuser):
    for response in answers(client, superuser):
        if response.streaming:
            continue
        page = re.sub(r"(?s)<textarea.*?</textarea>", "", body(response))
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|javascript:", page)
        for address in re.findall(r'(?:src|href|action)="([^"]*)"', page):
            assert address.startswith(("/", "#")), address


def test_the_page_that_shows_a_note_sends_no_referrer(client):
    assert client.post(REVEAL, {"link": notes.create("x")})["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("secure", [True, False])
def test_the_cookie_with_the_token_goes_nowhere_else(settings, secure):
    settings.SECURE_SSL_REDIRECT = False
    client = Browser(HTTP_X_FORWARDED_PROTO="https" if secure else "http")
    response = client.post(CREATE, fields(text="x"))
    cookie = response.cookies[views.COOKIE]
    assert cookie["path"] == response["Location"]
    assert cookie["httponly"] and cookie["samesite"] == "Strict"
    assert bool(cookie["secure"]) is secure
    assert cookie["domain"] == cookie["expires"] == cookie["max-age"] == ""
    shown = client.get(response["Location"]).cookies[views.COOKIE]
    assert (shown.value, shown["max-age"], shown["path"]) == ("", 0, cookie["path"])


def test_no_page_is_kept_by_a_cache_of_the_whole_site(client, settings):
    settings.MIDDLEWARE = [
        "django.middleware.cache.UpdateCacheMiddleware",
        *settings.MIDDLEWARE,
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]
    cache.clear()
    token, page = create(client, text="x")
    assert client.get(page.request["PATH_INFO"]).status_code == 410
    assert not [key for key in cache._cache if "cache_page" in key]


# CSRF


@pytest.mark.parametrize("middleware", [True, False])
@pytest.mark.parametrize("path", PAGES)
def test_no_post_without_its_token_whatever_middleware_the_project_has(
    superuser, settings, path, middleware
):
    if not middleware:
        settings.MIDDLEWARE = []
    client = Browser(enforce_csrf_checks=True)
    token = notes.create("the wifi password")
    data = fields(text="x", link=token, confirmed="yes", passphrase="")
    origin = {"HTTP_ORIGIN": "https://testserver"}
    before = count(superuser)
    for attempt in ({}, {"csrfmiddlewaretoken": "x" * 64}):
        response = client.post(path, data | attempt, **origin)
        assert response.status_code == 403
        assert "the wifi password" not in body(response)
    good = {"csrfmiddlewaretoken": value(client.get(OPEN), "csrfmiddlewaretoken")}
    response = client.post(path, data | good, HTTP_ORIGIN="https://evil.example")
    assert response.status_code == 403
    assert sealed(token) and count(superuser) == before
    assert client.post(path, data | good, **origin).status_code in (200, 302)
    assert sealed(token) is (path not in (REVEAL, BURN))


def test_each_page_is_one_that_these_tests_know():
    patterns = get_resolver("burn_note.urls").url_patterns
    assert {pattern.name for pattern in patterns} == {
        *(path.strip("/") or "create" for path in PAGES),
        "share",
    }


def test_the_failure_is_told_in_words():
    response = Browser(enforce_csrf_checks=True).post(CREATE, fields(text="x"))
    assert response.status_code == 403
    assert "Nothing was stored or destroyed." in body(response)
    assert "Go back, reload the page and try again." in body(response)


# In somebody else's project


@pytest.mark.parametrize("path", [*PAGES, SHARE])
def test_no_page_is_atomic_where_the_project_says_atomic_requests(client, monkeypatch, path):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    seen = []

    def look(*_args, **_kwargs):
        seen.append(connection.in_atomic_block)
        return HttpResponse()

    monkeypatch.setattr(views, "render", look)
    monkeypatch.setattr(views, "redirect", look)
    client.get(path)
    assert seen == [False]


def test_a_plain_view_would_be(client, monkeypatch, settings):
    """The control of the test above."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    settings.ROOT_URLCONF = "foreign"
    assert client.get("/is-atomic/").content == b"True"


def test_a_link_is_shown_after_commit_where_the_project_says_atomic_requests(
    client, monkeypatch, superuser
):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    before = count(superuser)
    redirect, seen = views.HttpResponseRedirect, []

    def look(*args, **kwargs):
        seen.append(count(superuser))
        return redirect(*args, **kwargs)

    monkeypatch.setattr(views, "HttpResponseRedirect", look)
    client.post(CREATE, fields(text="x"))
    assert seen == [before + 1]


def test_the_database_is_not_atomic_either_if_it_is_another(monkeypatch, settings):
    settings.BURN_NOTE_DATABASE = "notes"
    try:
        module = importlib.reload(views)
        assert module.reveal._non_atomic_requests == {"notes"}
    finally:
        settings.BURN_NOTE_DATABASE = "default"
        importlib.reload(views)


def test_nothing_is_broken_by_a_project_without_time_zones_or_translations(client, settings):
    settings.USE_TZ = False
    settings.USE_I18N = False
    settings.TIME_ZONE = "Asia/Tokyo"
    connection.close()
    token, page = create(client, text="x")
    expires_at = tokens.expires_at(token).isoformat()
    for answer in (page, client.post(OPEN, {"link": token}), client.post(STATUS, {"link": token})):
        assert expires_at in body(answer)
    connection.close()


def test_german_readers_are_answered_in_german(client):
    page = client.get(CREATE, HTTP_ACCEPT_LANGUAGE="de")
    assert '<html lang="de">' in body(page)
    assert heading(page) != heading(client.get(CREATE, HTTP_ACCEPT_LANGUAGE="en"))


def test_what_is_rendered_once_is_so_for_each_language_and_place(client):
    def page(language):
        return body(client.get(CREATE, HTTP_ACCEPT_LANGUAGE=language))

    english, german = page("en"), page("de")
    assert '<html lang="en">' in english and "Zum Inhalt springen" not in english
    assert '<html lang="de">' in german and "Zum Inhalt springen" in german
    with override_script_prefix("/notes/"):
        assert '<a class="brand" href="/notes/">' in page("en")
    assert '<a class="brand" href="/">' in page("en")
