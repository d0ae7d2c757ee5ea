"""What nginx refuses by itself, in pages like the app's: deploy/nginx/burn_note_errors.conf."""

import re
import socket
from contextlib import ExitStack, closing
from http.client import HTTPResponse

import pytest
from stack import Stack, wait_until
from visitor import Answer, Visitor

from burn_note import views

NOTHING = "Nothing was stored or destroyed."


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("limited"), LANGUAGE_CODE="de") as running:
        yield running


def is_ours(stack, answer):
    """It looks like the app's pages, has their headers, and finds its style."""
    assert answer.headers["Content-Type"] == "text/html"
    for name, expected in views.HEADERS.items():
        assert answer.headers.get_all(name) == [expected], name
    assert "max-age" in answer.headers["Strict-Transport-Security"]
    (style,) = re.findall(r'href="(/static/[^"]+\.css)"', answer.text)
    assert Visitor(stack).get(style).status == 200
    return 'class="brand"' in answer.text


def ask(stack, request, secure=True):
    """Sends these bytes, and returns the answer's status, headers and body."""
    with socket.create_connection(("127.0.0.1", stack.port), 180) as connection:
        if secure:
            connection = stack.trust().wrap_socket(connection, server_hostname="localhost")
        connection.sendall(request)
        response = HTTPResponse(connection)
        response.begin()
        return Answer(response.status, response.headers, response.read())


def refused(visitor, **headers):
    for _ in range(100):
        answer = visitor.post("/open/", {"link": "x"}, **headers)
        if answer.status == 429:
            return answer
    raise AssertionError("nobody counts")


def test_too_many_requests(limited):
    answer = refused(Visitor(limited), **{"Accept-Language": "en-US,de"})
    assert NOTHING in answer.text and "reload this page" in answer.text
    assert answer.headers["Retry-After"] == "60"
    assert is_ours(limited, answer)


def test_too_many_connections(stack):
    with ExitStack() as held:
        for _ in range(20):
            connection = held.enter_context(closing(Visitor(stack).connect())).sock
            connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        wait_until(lambda: Visitor(stack).get("/").status == 429, "nobody counts connections")
        answer = Visitor(stack).get("/")
        assert answer.headers["Retry-After"] == "60" and NOTHING in answer.text
        assert is_ours(stack, answer)
        answer = Visitor(stack).post("/open/", {"link": "x" * 70_000})
        assert answer.status == 413 and is_ours(stack, answer)


@pytest.mark.parametrize(
    "asked, given", [("de-AT,en;q=0.8", "de"), ("en", "en"), ("fr", "de"), ("", "de")]
)
def test_in_the_language_that_the_browser_asks_for(limited, asked, given):
    answer = refused(Visitor(limited), **{"Accept-Language": asked})
    assert f'<html lang="{given}">' in answer.text


def test_what_is_too_large(stack):
    visitor = Visitor(stack)
    visitor.get("/")
    answer = visitor.post("/", {"expires": "hour"}, ("large", b"x" * (12 * 1024 * 1024)))
    assert answer.status == 413
    assert "This is larger than the site takes. Nothing was stored." in answer.text
    assert "Retry-After" not in answer.headers
    assert is_ours(stack, answer)


def test_while_gunicorn_is_away_nobody_says_that_nothing_was_done(tmp_path):
    with Stack(tmp_path) as stack:
        gunicorn, nginx = stack.children
        gunicorn.terminate()
        gunicorn.wait()
        for method, path, body in (
            ("GET", "/", None),
            ("POST", "/reveal/", b""),
            ("POST", "/", b"x" * 1_000_000),
        ):
            answer = Visitor(stack).request(method, path, body, {})
            assert answer.status == 502
            assert "The site does not answer just now." in answer.text
            assert "Nothing was" not in answer.text
            assert answer.headers["Retry-After"] == "30"
            assert is_ours(stack, answer)


def test_a_static_file_that_is_not_there(stack):
    answer = Visitor(stack).get("/static/none.css")
    assert answer.status == 404
    assert "There is no page here." in answer.text
    assert is_ours(stack, answer)


@pytest.mark.parametrize(
    "request_, status",
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"POST /static/burn_note/flame.svg HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", 411),
        (
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"1\r\nx\r\n0\r\n\r\n",
            411,
        ),
        (b"GET /static/burn_note/flame.svg HTTP/1.1\r\nHost: localhost\r\nIf-Match: x\r\n\r\n", 412),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 9_000 + b"\r\n\r\n", 431),
        (
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
            501,
        ),
        (b"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", 505),
    ],
)
def test_what_nginx_does_not_understand(stack, request_, status):
    answer = ask(stack, request_)
    assert answer.status == status
    assert "The server does not understand" in answer.text and NOTHING in answer.text
    assert is_ours(stack, answer)


def test_an_address_that_is_no_ascii_is_refused_before_it_is_logged(stack):
    token = "bn1_" + "y" * 56
    answer = ask(stack, f"GET /open/?{token}\u2026 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert answer.status == 400 and is_ours(stack, answer)
    assert token not in stack.own_logs()


def test_a_long_address_is_answered_by_the_app(stack):
    answer = Visitor(stack).get("/nowhere/?" + "x" * 7000)
    assert answer.status == 404
    assert "There is no page here." in answer.text
    fields = b"".join(b"X-%d: x\r\n" % n for n in range(150))
    answer = ask(stack, b"GET /nowhere/ HTTP/1.1\r\nHost: localhost\r\n" + fields + b"\r\n")
    assert answer.status == 404 and "There is no page here." in answer.text


def test_plain_http_is_sent_to_https(stack):
    answer = ask(stack, b"GET /open/ HTTP/1.1\r\nHost: localhost:1\r\n\r\n", secure=False)
    assert (answer.status, answer.headers["Location"]) == (301, "https://localhost:1/open/")


def test_nobody_gets_an_error_page_by_its_address(stack):
    assert Visitor(stack).get("/burn_note_errors/429.html").status == 404


def test_the_log_has_what_was_asked_for_and_no_token(stack):
    log = stack.directory / "logs/nginx-access.log"
    before = log.stat().st_size

    def refused():
        return re.findall(r" (POST .*) 413 ", log.read_bytes()[before:].decode())

    token = "bn1_" + "x" * 56
    Visitor(stack).post(f"/status/{token}", {"link": "x" * 70_000})
    Visitor(stack).post("/status/?here=is&the=query", {"link": "x" * 70_000})
    # nginx logs after it has answered, and each of its processes when it comes to it
    wait_until(lambda: len(refused()) == 2, "nginx does not log")
    assert sorted(refused()) == ["POST (a token)", "POST /status/"]
