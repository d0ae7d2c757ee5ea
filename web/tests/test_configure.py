"""The files that deploy/configure writes, on a machine of their own: see machine.py."""

import json
import re
import shutil
import sys

import pytest
from machine import Machine, available
from stack import WEB, wait_until

pytestmark = pytest.mark.skipif(not available(), reason="this user may not make namespaces")

ENVIRONMENT = """
    install -D -m 600 /opt/burn_note/web/deploy/web.env /etc/burn_note/web.env
    echo SECRET_KEY=0123456789-abcdefghijklmnopqrstuvwxyz-0123456789-ABC >>/etc/burn_note/web.env
"""


@pytest.fixture(scope="module")
def machine():
    with Machine() as machine:
        machine.run(ENVIRONMENT + "/opt/burn_note/web/deploy/configure /opt/burn_note")
        machine.said = machine.run("nginx -t")
        yield machine


def test_nginx_accepts_the_site(machine):
    assert "nginx: configuration file /etc/nginx/nginx.conf test is successful" in machine.said
    assert "[warn]" not in machine.said


def test_settings_reach_nginx(machine):
    machine.run("""
        cp /etc/burn_note/web.env /run
        sed -i 's/^ALLOWED_HOSTS=.*/ALLOWED_HOSTS="notes.example.org, other.example.org"/' /etc/burn_note/web.env
        echo BURN_NOTE_MAX_FILE=2000000 >>/etc/burn_note/web.env
        echo BURN_NOTE_CREATES_PER_MINUTE=5 >>/etc/burn_note/web.env
        echo BURN_NOTE_USES_PER_MINUTE=6000 >>/etc/burn_note/web.env
        /opt/burn_note/web/deploy/configure /opt/burn_note
    """)
    configuration = machine.run("nginx -T 2>&1")
    machine.run("""
        mv /run/web.env /etc/burn_note
        /opt/burn_note/web/deploy/configure /opt/burn_note
    """)
    for written in (
        "server_name notes.example.org other.example.org;",
        "zone=burn_note_create:1m rate=5r/m;",
        "zone=burn_note_create burst=5 nodelay;",
        "zone=burn_note_create_48:1m rate=10r/m;",
        "zone=burn_note_create_48 burst=10 nodelay;",
        "zone=burn_note_use:1m rate=6000r/m;",
        "zone=burn_note_use burst=6000 nodelay;",
        "client_max_body_size 3m;",
        "client_body_buffer_size 3m;",
        "proxy_buffers 320 16k;",
    ):
        assert written in configuration


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
def test_systemd_accepts_the_units(machine):
    units = "burn_note-*.service burn_note-*.socket burn_note-*.timer"
    assert machine.run(f"cd /etc/systemd/system; systemd-analyze verify {units}") == ""


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
def test_units_are_confined(machine):
    for unit in ("web", "migrate", "purge", "listen"):
        # of 100, which is what can do everything
        machine.run(f"systemd-analyze security --offline=yes --threshold=20 burn_note-{unit}.service")


def command_of(unit):
    return re.findall(r"^ExecStart=(.*)$", (WEB / f"deploy/systemd/{unit}").read_text(), re.M)


def test_the_site_answers_as_it_is_written(stack, machine):
    variables = """
        set -a
        . /etc/burn_note/web.env
        STATIC_ROOT=/var/lib/burn_note/static
        cd /opt/burn_note/web
    """
    check, _migrate = command_of("burn_note-migrate.service")
    machine.run(f"{variables}{check}")
    for command in ("collectstatic --no-input -v0", "burn_note_error_pages"):
        machine.run(f"{variables}{sys.executable} manage.py {command}")
    (serve,) = command_of("burn_note-web.service")
    machine.run("mkdir /run/burn_note")
    machine.start(f"{variables}exec {serve} 2>/run/gunicorn.log")
    machine.start("exec /usr/sbin/nginx -g 'daemon off;'")
    there = "ls /run/burn_note/web.sock /run/nginx.pid 2>&1 || true"
    wait_until(lambda: "such" not in machine.run(there), "the site does not start")

    seen = json.loads(machine.run(f"{sys.executable} {WEB}/tests/stranger.py"))
    assert seen["plain"] == [301, "https://notes.example.org/open/?x=y", "nginx"]
    assert seen["other names"] == ["closed"] * 6
    assert seen["nonsense"] == [""] * 18
    assert seen["handshakes"] == ["h2", *["TLSV1_UNRECOGNIZED_NAME"] * 2]
    assert seen["old protocol"] == "TLSV1_ALERT_PROTOCOL_VERSION"
    assert seen["challenge"] == 404
    assert seen["page"] == [200, "max-age=31536000; includeSubDomains; preload"]
    # an IPv6 client is its /64
    assert seen["one"][:31] == [403] * 31 and seen["one"][-1] == 429
    assert seen["neighbour"] == [429]
    assert seen["stranger"] == [403]

    def log():
        return machine.run("cat /var/log/nginx/burn_note.access.log")

    # nginx logs after it has answered
    last = r"^2001:db8:0:2::1 \[.*\] POST /open/ 403 "
    wait_until(lambda: re.search(last, log(), re.M), "nginx does not log")
    assert re.search(r"^2001:db8:0:1::2 \[.*\] POST /open/ 429 ", log(), re.M)
    assert "x=y" not in log()
