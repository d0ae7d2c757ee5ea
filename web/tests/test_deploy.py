"""What deploy/ promises, held against the real nginx, gunicorn and PostgreSQL."""

import functools
import getpass
import html
import http.client
import json
import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from base64 import b64encode
from pathlib import Path

import psycopg
import pytest
from stack import DATABASE, DEPLOY, WEB, Stack, loopback, psql, wait_until
from visitor import Visitor

TOKEN = re.compile(r"b[nr]1_[\w-]{20}")
FILE = secrets.token_bytes(10 * 1024 * 1024)
SMALL = bytes(range(256))
ADDRESSES = [address for _, address in loopback()]

# how a site without our snippet would be written
PLAIN_PROXY = """
    client_max_body_size 11m;
    location / {
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_pass http://burn_note;
    }
"""


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    """As a stranger meets it, limits and all."""
    with Stack(tmp_path_factory.mktemp("limited")) as running:
        yield running


def manage(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=WEB,
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )


# Settings


@pytest.mark.parametrize("name", ["SECRET_KEY", "ALLOWED_HOSTS"])
def test_a_missing_setting_is_named(name):
    run = manage("check", **{name: " "})
    assert run.returncode != 0
    assert run.stderr.splitlines()[-1].endswith(
        f"The environment variable {name} is missing: see deploy/web.env."
    )


@pytest.mark.parametrize("name", ["BURN_NOTE_MAX_TEXT", "BURN_NOTE_MAX_FILE", "BURN_NOTE_MAX_EXPIRY_DAYS"])
@pytest.mark.parametrize("value", ["many", "0", "-1", "1.5"])
def test_a_number_that_is_none_is_named(name, value):
    run = manage("check", **{name: value})
    assert run.returncode != 0
    assert run.stderr.splitlines()[-1].endswith(
        f"The environment variable {name} is no number above 0: {value!r}."
    )


GIVEN = {
    "BURN_NOTE_MAX_TEXT": "1",
    "BURN_NOTE_MAX_FILE": "2",
    "BURN_NOTE_MAX_EXPIRY_DAYS": "3",
    "BURN_NOTE_UNREAD_PER_ADDRESS": "4",
    "BURN_NOTE_UNREAD_PER_SITE": "5",
    "BURN_NOTE_UNREAD_PER_NETWORK": "6",
    "BURN_NOTE_SENDERS_KEPT_HOURS": "7",
    "BURN_NOTE_PASSPHRASE_THREADS": "8",
}
MADE = {
    "BURN_NOTE_MAX_TEXT": 1,
    "BURN_NOTE_MAX_FILE": 2,
    "BURN_NOTE_MAX_EXPIRY": "3 days, 0:00:00",
    "BURN_NOTE_SENDER_LIMITS": [4, 5, 6],
    "BURN_NOTE_SENDERS_KEPT": "7:00:00",
    "BURN_NOTE_PASSPHRASE_THREADS": 8,
    # the project's own: it has one database, and nginx before it
    "BURN_NOTE_DATABASE": "default",
    "BURN_NOTE_TRUSTED_PROXIES": ["unix"],
}


def settings(**variables):
    code = (
        "import json; from burn_note import conf;"
        "print(json.dumps({name: conf.get(name) for name in conf.DEFAULTS}, default=str))"
    )
    return json.loads(manage("shell", "-v0", "-c", code, **variables).stdout)


def test_every_setting_comes_from_the_environment():
    assert settings(**GIVEN) == MADE


def test_every_setting_is_described_with_its_default():
    described = dict(re.findall(r"^#?(\w+)=(.*)$", (DEPLOY / "web.env").read_text(), re.M))
    assert settings(**{name: described[name] for name in GIVEN}) == settings()


def test_apps_of_ones_own_come_first(tmp_path):
    (tmp_path / "ours/templates/burn_note").mkdir(parents=True)
    (tmp_path / "ours/__init__.py").touch()
    (tmp_path / "ours/templates/burn_note/gone.html").write_text("ours")
    code = "from django.template.loader import get_template as t; print(t('burn_note/gone.html').render())"
    variables = {"BURN_NOTE_EXTRA_APPS": "ours", "PYTHONPATH": str(tmp_path)}
    assert manage("shell", "-v0", "-c", code, **variables).stdout == "ours\n"


def test_check_deploy_is_clean():
    run = manage("check", "--deploy", "--fail-level", "WARNING", BURN_NOTE_HTTPS="on")
    assert (run.returncode, run.stdout) == (0, "System check identified no issues (0 silenced).\n")


def test_check_deploy_sees_plain_http():
    run = manage("check", "--deploy", "--fail-level", "WARNING", BURN_NOTE_HTTPS="off")
    assert run.returncode != 0
    assert "security.W016" in run.stderr


# The database's roles


def callable_by(role):
    """What of the extension's own this role may call or read."""
    functions = psql(
        "-c",
        f"""SELECT p.proname FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid
            JOIN pg_extension e ON e.oid = d.refobjid AND d.deptype = 'e'
            WHERE e.extname = 'burn_note' AND p.proname LIKE 'burn%'
                AND has_function_privilege('{role}', p.oid, 'EXECUTE')""",
    )
    relations = psql(
        "-c",
        f"""SELECT c.relname || ':' || privilege FROM pg_class c,
                unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS privilege
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v')
                AND has_table_privilege('{role}', c.oid, privilege)""",
    )
    return set(functions.split()), set(relations.split())


def test_the_web_role_may_do_what_the_pages_do_and_nothing_else(stack):
    assert callable_by("burn_note_web") == (
        {
            "burn_create",
            "burn_create_bytes",
            "burn_note_id",
            "burn_read",
            "burn_read_bytes",
            "burn_receipt_token",
            "burn_revoke",
            "burn_status",
            "burn_verify_receipt",
        },
        {f"burn_note_sender:{right}" for right in ("SELECT", "INSERT", "DELETE")},
    )


def test_the_keeper_opens_nothing(stack):
    assert callable_by("burn_note_keeper") == (
        {"burn_purge"},
        {"burn_receipt:SELECT", "burn_note_sender:DELETE"}
        | {f"burn_note_announcement:{right}" for right in ("SELECT", "INSERT", "DELETE")},
    )


def test_no_role_of_ours_is_more_than_a_role(stack):
    assert psql(
        "-c",
        """SELECT rolname FROM pg_roles WHERE rolname LIKE 'burn\\_note\\_%'
            AND (rolsuper OR rolcreaterole OR rolreplication OR rolbypassrls
                OR rolcreatedb AND rolname <> 'burn_note_tests')""",
    ) == ""
    for role in ("burn_note_web", "burn_note_keeper"):
        assert psql(
            "-c",
            f"""SELECT has_database_privilege('{role}', current_database(), 'CREATE, TEMP'),
                has_schema_privilege('{role}', 'public', 'CREATE')""",
        ).strip() == "f|f"


def test_strangers_fill_no_disk(stack):
    (limit,) = psql(
        *("-c", "LOAD 'burn_note'"),
        *("-c", "SHOW burn_note.max_pending"),
        role="burn_note_web",
    ).split()
    assert limit == "1000"


def test_the_keeper_purges_and_announces(stack):
    Visitor(stack).reveal(Visitor(stack).create("for the keeper")[0])
    assert re.fullmatch(r"\d+ rows removed\n", stack.manage("burn_note_purge", role="burn_note_keeper"))
    listen = ("burn_note_listen", "--once")
    assert re.fullmatch(r"[1-9]\d* receipts announced\n", stack.manage(*listen, role="burn_note_keeper"))
    assert stack.manage(*listen, role="burn_note_keeper") == "0 receipts announced\n"


# A journey through nginx, gunicorn and the roles


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_note_is_read_once_from_where_it_was_read(stack, address):
    sender, reader = Visitor(stack), Visitor(stack, address)
    token, receipt_token = sender.create("the safe: 17-38-05", passphrase="correct horse")
    assert "17-38-05" not in reader.reveal(token, "battery staple").text
    assert "17-38-05" in reader.reveal(token, "correct horse").text
    assert reader.reveal(token, "correct horse").status == 410
    assert address in sender.status(receipt_token)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("forged", ["203.0.113.9", "203.0.113.9, 127.0.0.1", "2001:db8::9", "unix:", ","])
def test_a_forged_address_changes_nothing(stack, address, forged):
    token, receipt_token = Visitor(stack).create("from where?")
    header = {"X-Forwarded-For": forged, "X-Real-IP": forged, "Forwarded": f"for={forged}"}
    assert "from where?" in Visitor(stack, address, headers=header).reveal(token).text
    status = Visitor(stack).status(receipt_token)
    assert address in status
    assert "203.0.113.9" not in status and "2001:db8::9" not in status


def test_a_proxy_that_hands_on_the_header_would_be_deceived(tmp_path):
    server = PLAIN_PROXY.replace("$proxy_add_x_forwarded_for", "$http_x_forwarded_for")
    with Stack(tmp_path, server=server) as stack:
        token, receipt_token = Visitor(stack).create("from where?")
        Visitor(stack).reveal(token, **{"X-Forwarded-For": "203.0.113.9"})
        assert "203.0.113.9" in Visitor(stack).status(receipt_token)


# Files whose names another program has sealed

NAMES = {
    "a carriage return": (b"a\rSet-Cookie: x=y", "aSet-Cookie: x=y"),
    "a NUL": (b"a\0b.txt", "ab.txt"),
    "control characters": (b"\x1b[2Ja\x7f\x0b\xc2\x85\xe2\x80\xa8.txt", "[2Ja.txt"),
    "quotes": (b"a\"; filename=\"b';.txt", "a\"; filename=\"b';.txt"),
    "slashes": (b"../../etc/passwd", "passwd"),
    "backslashes": (b"C:\\Users\\..\\a.txt", "a.txt"),
    "a slash at its end": (b"etc/", "note.bin"),
    "dots": (b"a/..", "note.bin"),
    "nothing": (b"", "note.bin"),
    "nothing to see": (b"\0\r\x7f", "note.bin"),
    "no UTF-8": (b"a\xff.txt", "a\ufffd.txt"),
    "lone surrogates": (b"a\xed\xa0\x80.txt", "a\ufffd\ufffd\ufffd.txt"),
    "bidi overrides": ("a\u202etxt\u2066\u200f.exe".encode(), "atxt.exe"),
    "as much as a file system takes": ("€".encode() * 255, "€" * 255),
    "more than nginx takes": ("€".encode() * 1000, "€" * 255),
    "cut in a character": (b"a" + "€".encode() * 1000, "a" + "€" * 254),
    "megabytes": (b"%" * 8 * 1024 * 1024, "%" * 765),
    "megabytes of slashes": (b"/" * 8 * 1024 * 1024 + b"a", "a"),
}


def seal(note):
    """A note of any bytes, made by SQL."""
    superuser = {"dbname": DATABASE, "user": getpass.getuser()}
    with psycopg.connect(**superuser, autocommit=True) as server:
        return server.execute("SELECT burn_create_bytes(%b)", [note]).fetchone()[0]


@pytest.mark.parametrize("given, kept", NAMES.values(), ids=NAMES)
def test_a_file_of_any_name_is_downloaded(stack, given, kept):
    answer = Visitor(stack).reveal(seal(b"burn_note file\n" + given + b"\n" + SMALL))
    assert (answer.status, answer.body) == (200, SMALL)
    assert answer.headers.get_all("Set-Cookie") is None
    assert answer.headers.get_filename() == kept


@pytest.mark.parametrize("given, kept", NAMES.values(), ids=NAMES)
def test_a_file_of_any_name_is_shown_with_a_script(stack, given, kept):
    token = seal(b"burn_note file\n" + given + b"\n" + SMALL)
    reader = Visitor(stack)
    reader.get("/open/")
    page = reader.post("/reveal/", {"link": token, "scripted": "yes"})
    assert page.status == 200
    assert html.unescape(re.search(r' download="([^"]*)"', page.text)[1]) == kept
    assert f">{b64encode(SMALL).decode()}</textarea>" in page.text


# Headers


def test_pages_have_each_header_once(stack):
    for path in ("/", "/open/", "/status/"):
        headers = Visitor(stack).get(path).headers
        assert headers.get_all("Strict-Transport-Security") == [
            "max-age=31536000; includeSubDomains; preload"
        ]
        assert headers.get_all("Cache-Control") == ["no-store, private"]
        assert headers.get_all("X-Content-Type-Options") == ["nosniff"]
        assert len(headers.get_all("Content-Security-Policy")) == 1
        assert headers["Server"] == "nginx"
        cookie = headers["Set-Cookie"]
        assert cookie.startswith("__Host-csrftoken=")
        words = cookie.split("; ")
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(words)
        assert not [word for word in words if word.startswith("Domain")]


def test_forms_work_by_plain_http_too(tmp_path):
    with Stack(tmp_path, tls=False) as plain:
        visitor = Visitor(plain)
        assert "by plain HTTP" in visitor.reveal(visitor.create("by plain HTTP")[0]).text
        assert "csrftoken" in visitor.cookies


def test_pages_are_not_compressed_and_static_files_are_kept(stack):
    page = Visitor(stack).get("/", **{"Accept-Encoding": "gzip"})
    assert page.headers["Content-Encoding"] is None
    (path,) = re.findall(r'href="(/static/[^"]+\.css)"', page.text)
    answer = Visitor(stack).get(path, **{"Accept-Encoding": "gzip"})
    assert answer.status == 200
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Cache-Control"] == "max-age=31536000"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "includeSubDomains" in answer.headers["Strict-Transport-Security"]


def test_static_files_are_all_that_nginx_serves(stack):
    for path in ("/static/", "/static/../nginx.conf", "/static../nginx.conf", "/static%2f..%2fkey.pem"):
        assert Visitor(stack).get(path).status in (403, 404), path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version, works", [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
def test_tls_is_of_today(stack, version, works):
    context = stack.trust()
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    # else OpenSSL itself would refuse the old one
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", stack.port)) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="localhost"):
                assert works
        except ssl.SSLError as error:
            assert not works, error


# HTTP/2, by curl: Python has no client of it


def curl(stack, *arguments):
    """Returns what curl's --write-out "%{http_version} %{response_code}" says."""
    command = ["curl", "--http2", "-s", "--cacert", stack.directory / "certificate.pem"]
    command += ["-c", stack.directory / "jar", "-b", stack.directory / "jar", "-e", stack.url + "/"]
    command += ["-w", "%{http_version} %{response_code}", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def form_token(stack, path):
    page = stack.directory / "page.html"
    assert curl(stack, "-o", page, stack.url + path) == "2 200"
    return re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.read_text())[1]


def test_a_body_of_unknown_length_is_refused_by_http_2_too(stack):
    for length in (b"secret", b"x" * 200_000):
        sent = subprocess.run(
            ["curl", "--http2", "-s", "--cacert", stack.directory / "certificate.pem"]
            + ["-w", "%{http_version} %{response_code}", "-X", "POST", "-T", "-"]
            + [stack.url + "/"],
            input=length,
            capture_output=True,
        )
        assert sent.stdout.endswith(b"2 411") and b'class="brand"' in sent.stdout


def test_who_has_many_cookies_of_the_domain_is_let_in(stack):
    """By HTTP/2 they come one by one, and nginx sends them on in one line."""
    cookies = [word for n in range(5) for word in ("-H", f"Cookie: {n}={'x' * 4000}")]
    assert curl(stack, *cookies, "-o", "/dev/null", stack.url + "/") == "2 200"


def test_no_file_touches_the_disk_on_its_way_by_http_2(no_temporary_files, tmp_path):
    stack = no_temporary_files(tls=True)
    (tmp_path / "file").write_bytes(FILE)
    made = tmp_path / "made.html"
    create = ["-F", f"csrfmiddlewaretoken={form_token(stack, '/')}", "-F", "expires=hour"]
    create += ["-F", f"file=@{tmp_path}/file", "-L", "-o", made]
    assert curl(stack, *create, stack.url + "/") == "2 200"
    token = re.search(r"bn1_[\w-]{56}", made.read_text())[0]
    reveal = ["-d", f"csrfmiddlewaretoken={form_token(stack, '/open/')}", "-d", f"link={token}"]
    reveal += ["--limit-rate", "8M", "-o", tmp_path / "revealed"]
    assert curl(stack, *reveal, stack.url + "/reveal/") == "2 200"
    assert (tmp_path / "revealed").read_bytes() == FILE


# Limits


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("path, burst", [("/", 10), ("/open/", 30)])
def test_posts_are_counted_by_address(limited, address, path, burst):
    visitor = Visitor(limited, address)
    statuses = [visitor.post(path, {}).status for _ in range(burst + 5)]
    assert statuses[: burst + 1] == [403] * (burst + 1)
    assert statuses[-1] == 429
    assert visitor.get(path).status == 200


def test_a_body_of_unknown_length_is_refused(stack):
    refused = Visitor(stack).request("POST", "/", iter([b"text=", b"secret"]), {})
    assert refused.status == 411


# The disk


@pytest.fixture
def no_temporary_files(tmp_path):
    """A stack whose nginx can write no temporary file."""

    def start(**options):
        stack = Stack(tmp_path, **{"tls": False} | options)
        stack.__enter__()
        started.append(stack)
        for directory in (tmp_path / "temp").iterdir():
            directory.chmod(0o500)
        return stack

    started = []
    yield start
    for stack in started:
        stack.stop()


def errors_logged(directory):
    """nginx's own level for its error log."""
    return f"error_log {directory}/logs/usual-error.log error;"


def read_slowly(stack, token, wait):
    """Reveals a file as a client that waits before it reads, and returns all that came."""
    visitor = Visitor(stack)
    visitor.get("/open/")
    connection = visitor.connect()
    visitor.connect = lambda: connection
    request, connection.request = connection.request, lambda *a: (request(*a), wait())
    try:
        return visitor.post("/reveal/", {"link": token}).body
    except http.client.IncompleteRead as error:
        return error.partial


def test_no_secret_touches_the_disk_on_its_way(no_temporary_files):
    stack = no_temporary_files()
    token, receipt_token = Visitor(stack).create(file=("ten megabytes", FILE))

    def wait():
        read = f"SELECT state = 'read' FROM burn_status('{receipt_token}')"
        wait_until(lambda: psql("-c", read) == "t\n", "nobody reads it")
        wait_until(lambda: not asking(stack), "nginx does not take all of the answer")

    assert read_slowly(stack, token, wait) == FILE


def asking(stack):
    """nginx's connections to gunicorn."""
    connected = rf"^\S+ \S+ \S+ \S+ \S+ 03 +\d+ {stack.directory}/web\.sock$"
    return re.findall(connected, Path("/proc/net/unix").read_text(), re.M)


def test_nginx_as_it_comes_would_write_requests_to_the_disk(no_temporary_files, tmp_path):
    stack = no_temporary_files(server=errors_logged(tmp_path) + PLAIN_PROXY)
    visitor = Visitor(stack)
    visitor.get("/")
    assert visitor.post("/", {"expires": "hour"}, ("ten megabytes", FILE)).status == 500
    assert re.search(r"open\(.*/temp/body/.* failed", stack.own_logs())


def test_nginx_as_it_comes_would_write_answers_to_the_disk(no_temporary_files, tmp_path):
    server = errors_logged(tmp_path) + PLAIN_PROXY
    stack = no_temporary_files(server=server + "client_body_buffer_size 11m;")
    token, _ = Visitor(stack).create(file=("ten megabytes", FILE))

    def refused():
        return re.search(r"open\(.*/temp/proxy/.* failed", stack.own_logs())

    wait = functools.partial(wait_until, refused, "nginx writes nothing")
    assert read_slowly(stack, token, wait) != FILE


# Logs

LINE = re.compile(
    r"[\da-f.:]+ \[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+\d\d:\d\d\] [A-Z]+ (/\S*|\(a token\)) \d{3} \d+ [\d.]+"
)


def journey(stack):
    """Everything that a person can do, and a little more; returns what nobody may see."""
    visitor = Visitor(stack)
    note, passphrase, contents = (secrets.token_hex(20) for _ in range(3))
    first = visitor.create(note, passphrase=passphrase)
    visitor.reveal(first[0], passphrase + "!")
    visitor.reveal(first[0], passphrase)
    second = visitor.create(file=("name", contents.encode()))
    visitor.reveal(second[0])
    third = visitor.create(note)
    visitor.get("/status/")
    visitor.post("/burn/", {"link": third[1]})
    visitor.post("/burn/", {"link": third[1], "confirmed": "yes"})
    # what people make of links
    visitor.get(f"/open/{first[0]}")
    visitor.get(f"/?{first[0]}", Referer=f"{stack.url}/?{second[1]}")
    visitor.post(f"/reveal/?x={first[0]}", {"link": first[0][:-1]})
    refused_by_nginx(visitor, first[0])
    return {note, passphrase, contents, *first, *second, *third}


def refused_by_nginx(visitor, token):
    """A link with its fragment's sign quoted, and more than our nginx takes."""
    return visitor.post(f"/open/%23{token}", {"link": "x" * 70_000})


def test_no_log_has_a_token_a_note_or_a_passphrase(stack):
    unseen = journey(stack)
    access = stack.directory / "logs/nginx-access.log"
    # nginx logs after it has answered, and this is the last
    wait_until(lambda: " 413 " in access.read_text(), "nginx does not log")
    logs = stack.logs()
    assert not TOKEN.search(logs)
    assert not [secret for secret in unseen if secret in logs]
    lines = access.read_text().splitlines()
    assert len(lines) > 20
    assert not [line for line in lines if not LINE.fullmatch(line)]
    assert any(line.split()[3] == "(a" for line in lines)


def test_the_usual_log_would_have_them(tmp_path):
    server = f"access_log {tmp_path}/logs/usual.log combined;" + PLAIN_PROXY
    with Stack(tmp_path, server=server) as stack:
        journey(stack)
        assert TOKEN.search(stack.logs())


def test_nginxs_usual_error_log_would_have_a_token(tmp_path):
    server = errors_logged(tmp_path) + f"include {DEPLOY}/nginx/burn_note_server.conf;"
    with Stack(tmp_path, server=server) as stack:
        visitor = Visitor(stack)
        token, _ = visitor.create("x")
        assert not TOKEN.search(stack.own_logs())
        assert refused_by_nginx(visitor, token).status == 413
        assert TOKEN.search(stack.own_logs())


# Starting and ending


def processes_in(directory):
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(directory):
                found.append(process.name)
        except OSError:
            pass
    return found


def answers(port):
    for address in ADDRESSES:
        try:
            socket.create_connection((address, port), 5).close()
            return True
        except ConnectionRefusedError:
            pass
    return False


def home_of_child(run):
    (child,) = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    variables = Path(f"/proc/{child}/environ").read_text().split("\0")
    return Path(dict(v.split("=", 1) for v in variables if v)["HOME"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_make_web_leaves_nothing_behind(number):
    run = subprocess.Popen(
        [WEB.parent / "tools/web"],
        env=os.environ | {"PORT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        for line in run.stdout:
            if found := re.fullmatch(r" +http://localhost:(\d+)\n", line):
                break
        port = int(found.group(1))
        scratch = home_of_child(run)
        assert len(processes_in(scratch)) > 5
        with urllib.request.urlopen(f"http://localhost:{port}") as page:
            assert b'name="csrfmiddlewaretoken"' in page.read()
    finally:
        os.killpg(run.pid, number)
    run.stdout.read()
    assert run.wait(180) == 128 + number
    assert not scratch.exists()
    assert processes_in(scratch) == []
    assert not answers(port)


def test_a_stack_that_is_killed_takes_its_processes_along(tmp_path):
    run = subprocess.Popen(
        [sys.executable, WEB / "tests/stack.py", "--port", "0", tmp_path],
        stdout=subprocess.PIPE,
        text=True,
    )
    port = int(re.search(r"localhost:(\d+)", run.stdout.readline() + run.stdout.readline()).group(1))
    assert answers(port)
    run.kill()
    run.wait()
    wait_until(lambda: not answers(port), "somebody still answers")
