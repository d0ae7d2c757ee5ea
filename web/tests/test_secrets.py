"""No note, token, passphrase or file name in what Django and PostgreSQL write down.

Each page is made to fail while it holds its secrets; then all that was reported is
searched for them, as they are and as reports encode them. The control is a plain view,
where the same search finds them.
"""

import base64
import html
import logging
import re
from urllib.parse import quote, quote_plus

import psycopg
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, connections
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.test.utils import CaptureQueriesContext
from django.utils.log import AdminEmailHandler
from django.views.debug import get_default_exception_reporter_filter
from pages import BURN, CREATE, OPEN, REVEAL, STATUS, Browser, create, fields, links, text

from burn_note import notes, views
from burn_note.files import File

pytestmark = pytest.mark.django_db(transaction=True)

NOTE = "Sesam öffne dich & <bitte>"
PASSPHRASE = "Rosen+Tulpen 100%"
FILE_NAME = "Kündigung.pdf"


def encodings(secret):
    raw = secret.encode()
    yield from (secret, quote(secret), quote(secret, safe=""), quote_plus(secret))
    yield from (raw.hex(), str(raw), ascii(secret)[1:-1], html.escape(secret))
    yield base64.b64encode(raw).decode()
    # a token's body as bytes
    if secret[:4] in ("bn1_", "br1_"):
        body = base64.urlsafe_b64decode(secret[4:])
        yield from (secret[4:], body.hex(), body[7:39].hex(), str(body))


def leaked(secrets, reported):
    assert all(secrets)
    return {secret for secret in secrets for form in encodings(secret) if form in reported}


class Reports:
    """Whatever was written down meanwhile: logs, mails to the admins, queries, wrappers."""

    def __init__(self, caplog, mailoutbox):
        self.caplog, self.mailoutbox = caplog, mailoutbox
        self.seen_by_wrapper = []

    def wrapper(self, execute, statement, parameters, many, context):
        self.seen_by_wrapper.append((statement, parameters))
        return execute(statement, parameters, many, context)

    def text(self):
        records = [str(vars(record)) for record in self.caplog.records]
        mails = [mail.subject + mail.body + str(mail.alternatives) for mail in self.mailoutbox]
        queries = [str(query) for query in connection.queries]
        return "\n".join([self.caplog.text, *records, *mails, *queries, str(self.seen_by_wrapper)])


@pytest.fixture(params=[False, True], ids=["DEBUG=False", "DEBUG=True"])
def reports(request, settings, caplog, mailoutbox, monkeypatch):
    settings.DEBUG = request.param
    settings.ADMINS = [("Admin", "admin@example.org")]
    monkeypatch.setattr(connections["default"], "force_debug_cursor", request.param)
    mails = AdminEmailHandler(include_html=True)
    mails.setLevel(logging.ERROR)
    logger = logging.getLogger("django")
    monkeypatch.setattr(logger, "handlers", [*logger.handlers, mails])
    monkeypatch.setattr(logger, "propagate", True)
    for name in ("", "django", "django.db.backends", "django.request", "burn_note"):
        caplog.set_level(logging.DEBUG, name)
    connection.ensure_connection()
    connection.queries_log.clear()
    found = Reports(caplog, mailoutbox)
    with connection.execute_wrapper(found.wrapper):
        yield found


class Failing:
    """Where a page may fail. Each raises after the page has its secrets."""

    @staticmethod
    def rendering(monkeypatch):
        def fail(request, template, context=None, **_):
            raise RuntimeError("rendering failed")

        monkeypatch.setattr(views, "render", fail)
        monkeypatch.setattr(views, "HttpResponseRedirect", lambda *a, **k: fail(None, None))
        monkeypatch.setattr(views, "FileResponse", lambda *a, **k: fail(None, None))

    @staticmethod
    def in_a_template(monkeypatch):
        def fail(*_, **__):
            raise RuntimeError("a template failed")

        monkeypatch.setattr("burn_note.templatetags.burn_note.Fixed.render", fail)
        monkeypatch.setattr(views, "HttpResponseRedirect", fail)
        monkeypatch.setattr(views, "FileResponse", fail)

    @staticmethod
    def at_the_database(monkeypatch):
        def fail(self, statement, parameters=None, **_):
            raise psycopg.OperationalError("the database failed")

        monkeypatch.setattr(psycopg.Cursor, "execute", fail)

    @staticmethod
    def after_the_database(monkeypatch):
        def fail(self):
            raise RuntimeError("fetching failed")

        monkeypatch.setattr(psycopg.Cursor, "fetchone", fail)

    @staticmethod
    def in_a_form(monkeypatch):
        def fail(self):
            raise RuntimeError("cleaning failed")

        monkeypatch.setattr("django.forms.forms.BaseForm._clean_form", fail)


FAILURES = [name for name in vars(Failing) if not name.startswith("_")]


PAGES = ["text", "file", "share", OPEN, REVEAL, "file revealed", STATUS, BURN]
# the share page has no form to clean
PLACES = [(page, f) for page in PAGES for f in FAILURES if (page, f) != ("share", "in_a_form")]


@pytest.mark.parametrize("page, failure", PLACES)
def test_a_page_that_fails_reports_no_secret(client, reports, monkeypatch, page, failure, settings):
    client.raise_request_exception = False
    sealed = notes.create(NOTE, None, PASSPHRASE)
    file = SimpleUploadedFile(FILE_NAME, NOTE.encode())
    if page == "file revealed":
        sealed = notes.create_bytes(File(FILE_NAME, NOTE.encode()).to_note(), None, PASSPHRASE)
    receipt = notes.receipt_token(sealed)
    if page == "share":
        location = client.post(CREATE, fields(text=NOTE, passphrase=PASSPHRASE))["Location"]
        ((_key, sealed),) = client.jar.items()
        receipt = notes.receipt_token(sealed)
    data = {"link": sealed, "passphrase": PASSPHRASE, "confirmed": "yes"}
    with monkeypatch.context() as broken:
        getattr(Failing, failure)(broken)
        if page == "text":
            response = client.post(CREATE, fields(text=NOTE, passphrase=PASSPHRASE))
        elif page == "file":
            response = client.post(CREATE, fields(file=file, passphrase=PASSPHRASE))
        elif page == "share":
            response = client.get(location)
        else:
            response = client.post(REVEAL if page == "file revealed" else page, data)
    is_away = failure == "at_the_database" and not settings.DEBUG
    assert response.status_code == (503 if is_away else 500)
    assert len(reports.mailoutbox) == 1 and reports.mailoutbox[0].alternatives
    assert ("Traceback" in response.content.decode()) is settings.DEBUG
    answer = response.content.decode()
    if not settings.DEBUG:
        # the sender has it back, in the form
        answer = re.sub("(?s)<form.*</form>", "", answer)
    everything = reports.text() + answer
    assert "failed" in everything
    assert leaked({NOTE, PASSPHRASE, FILE_NAME, sealed, receipt}, everything) == set()


def journey(client):
    """All pages as they should go; returns the secrets."""
    token, page = create(client, text=NOTE, passphrase=PASSPHRASE)
    file = SimpleUploadedFile(FILE_NAME, NOTE.encode())
    token_of_file, page_of_file = create(client, file=file, passphrase=PASSPHRASE)
    receipts = [notes.receipt_token(token), notes.receipt_token(token_of_file)]
    client.post(CREATE, fields(text=NOTE, passphrase=PASSPHRASE, expires="never"))
    client.post(OPEN, {"link": f"{links(page)[0]} {NOTE}"})
    client.post(OPEN, {"link": token[:-1]})
    client.post(REVEAL, {"link": token, "passphrase": PASSPHRASE[:-1]})
    client.post(BURN, {"link": receipts[0]})
    client.post(STATUS, {"link": receipts[0]})
    revealed = client.post(REVEAL, {"link": token, "passphrase": PASSPHRASE})
    assert text(revealed, "note") == NOTE
    client.post(STATUS, {"link": receipts[0]})
    client.post(OPEN, {"link": token})
    data = {"link": token_of_file, "passphrase": PASSPHRASE, "scripted": "yes"}
    assert text(client.post(REVEAL, data), "contents")
    client.post(REVEAL, data)
    client.post(BURN, {"link": notes.create(NOTE), "confirmed": "yes"})
    return {NOTE, PASSPHRASE, FILE_NAME, token, token_of_file, *receipts}


def test_nothing_is_written_down_of_a_journey(client, reports):
    assert leaked(journey(client), reports.text()) == set()
    assert not reports.mailoutbox


@pytest.mark.parametrize("bad", ["fields", "files"])
def test_a_form_that_django_cannot_parse_reports_no_secret(reports, settings, bad):
    """The check of its CSRF token reads it, before the view is called."""
    client = Browser(raise_request_exception=False, enforce_csrf_checks=True)
    client.get(CREATE)
    body = encode_multipart(
        BOUNDARY,
        {
            "text": NOTE,
            "passphrase": PASSPHRASE,
            "file": SimpleUploadedFile(FILE_NAME, NOTE.encode()),
        }
        | {f"more{n}": SimpleUploadedFile("x", b"x") if bad == "files" else "x" for n in range(3)},
    )
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 3 if bad == "fields" else 1000
    settings.DATA_UPLOAD_MAX_NUMBER_FILES = 2
    response = client.generic(
        "POST", CREATE, body, MULTIPART_CONTENT, HTTP_ORIGIN="https://testserver"
    )
    assert response.status_code == 400
    everything = reports.text() + response.content.decode()
    assert leaked({NOTE, PASSPHRASE, FILE_NAME}, everything) == set()


def test_the_views_of_others_do_report_them(client, reports, settings):
    """The control of the tests above: Django's cursor in a plain view."""
    settings.ROOT_URLCONF = "foreign"
    client.raise_request_exception = False
    token = notes.create(NOTE, None, PASSPHRASE)
    with CaptureQueriesContext(connection) as captured:
        response = client.post("/plain/", {"link": token, "passphrase": PASSPHRASE})
    assert response.status_code == 500
    secrets = {NOTE, token, PASSPHRASE}
    (mail,) = reports.mailoutbox
    assert leaked(secrets, str(captured.captured_queries)) == {token, PASSPHRASE}
    assert leaked(secrets, str(reports.seen_by_wrapper)) == {token, PASSPHRASE}
    queries = [r for r in reports.caplog.records if r.name == "django.db.backends"]
    assert leaked(secrets, str([r.getMessage() for r in queries])) == {token, PASSPHRASE}
    assert leaked(secrets, mail.body) >= {token, PASSPHRASE}
    if settings.DEBUG:
        assert leaked(secrets, response.content.decode()) == secrets


@pytest.mark.parametrize("reports", [True], indirect=True, ids=["DEBUG=True"])
@pytest.mark.parametrize("advised", [True, False], ids=["as advised", "control"])
def test_other_views_that_do_as_the_readme_says_report_nothing(
    client, reports, settings, monkeypatch, advised
):
    if advised:
        reporter_filter = "burn_note.reports.ExceptionReporterFilter"
        settings.DEFAULT_EXCEPTION_REPORTER_FILTER = reporter_filter
    get_default_exception_reporter_filter.cache_clear()
    settings.ROOT_URLCONF = "foreign"
    client.raise_request_exception = False
    token = notes.create(NOTE, None, PASSPHRASE)
    response = client.post("/careful/", {"link": token, "passphrase": PASSPHRASE})
    get_default_exception_reporter_filter.cache_clear()
    assert response.status_code == 500
    secrets = {NOTE, token, PASSPHRASE}
    found = leaked(secrets, reports.text() + response.content.decode())
    assert found == (set() if advised else secrets)


def test_postgresqls_log_has_nothing_of_a_journey(client, superuser):
    log = ServerLog(superuser)
    secrets = journey(client)
    written = log.since()
    assert "ERROR" in written, "the file's first reading, as text, is refused"
    assert leaked(secrets, written) == set()


def test_postgresqls_log_has_what_was_no_parameter(superuser):
    """The control of the test above. (No token: other tests look for those in this log.)"""
    log = ServerLog(superuser)
    with psycopg.ClientCursor(superuser) as cursor, pytest.raises(psycopg.DataError):
        cursor.execute("SELECT length(%s) / 0", [NOTE])
    assert leaked({NOTE}, log.since()) == {NOTE}


class ServerLog:
    """What the server writes from now on. Its settings are the default ones."""

    def __init__(self, superuser):
        self.superuser = superuser
        for name in (
            "log_statement",
            "log_min_error_statement",
            "log_parameter_max_length_on_error",
        ):
            superuser.execute(
                "SELECT 1 / (setting = boot_val)::int FROM pg_settings WHERE name = %s", [name]
            )
        self.start = len(self.read())

    def read(self):
        return self.superuser.execute("SELECT pg_read_binary_file('server.log')").fetchone()[0]

    def since(self):
        return self.read()[self.start :].decode()
