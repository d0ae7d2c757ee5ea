"""README.md's steps to the internet, taken on a machine of their own: see machine.py."""

import json
import re
import shutil
import sys
import time

import pytest
from machine import ELSEWHERE, Machine, available, steps
from stack import WEB

pytestmark = pytest.mark.skipif(not available(), reason="this user may not make namespaces")


@pytest.fixture(scope="module")
def machine():
    taken = [step for step in steps() if not any(re.fullmatch(e, step) for e in ELSEWHERE)]
    with Machine() as machine:
        machine.said = machine.run("set -x\n" + "\n".join(taken))
        yield machine


def test_every_step_is_taken_somewhere():
    written = steps()
    assert len(written) > 20
    for elsewhere in ELSEWHERE:
        assert any(re.fullmatch(elsewhere, step) for step in written), elsewhere


def test_nginx_accepts_the_site(machine):
    assert "nginx: configuration file /etc/nginx/nginx.conf test is successful" in machine.said
    assert "[warn]" not in machine.said


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
        sed -i 's/^SECRET_KEY=$/SECRET_KEY=0123456789-abcdefghijklmnopqrstuvwxyz-0123456789-ABC/' /etc/burn_note/web.env
        set -a
        . /etc/burn_note/web.env
        cd /opt/burn_note/web
    """
    check, _migrate, collect = command_of("burn_note-migrate.service")
    machine.run(f"{variables}{check}\n{collect}")
    (serve,) = command_of("burn_note-web.service")
    machine.run("mkdir /run/burn_note")
    machine.start(f"{variables}exec {serve} 2>/run/gunicorn.log")
    machine.start("exec /usr/sbin/nginx -g 'daemon off;'")
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        time.sleep(0.2)
        if machine.run("ls /run/burn_note/web.sock /run/nginx.pid 2>&1 || true").count("such") == 0:
            break

    seen = json.loads(machine.run(f"{sys.executable} {WEB}/tests/stranger.py"))
    assert seen["plain"] == [301, "https://notes.example.org/open/?x=y", "nginx"]
    assert seen["other names"] == ["closed"] * 6
    assert seen["handshakes"] == ["h2", *["TLSV1_UNRECOGNIZED_NAME"] * 2]
    assert seen["old protocol"] == "TLSV1_ALERT_PROTOCOL_VERSION"
    assert seen["challenge"] == 404
    assert seen["page"] == [200, "max-age=31536000; includeSubDomains; preload"]
    # an IPv6 client is its /64
    assert seen["one"][:31] == [403] * 31 and seen["one"][-1] == 429
    assert seen["neighbour"] == [429]
    assert seen["stranger"] == [403]
    log = machine.run("cat /var/log/nginx/burn_note.access.log")
    assert re.search(r"^2001:db8:0:1::2 \[.*\] POST /open/ 429 ", log, re.M)
    assert "x=y" not in log
